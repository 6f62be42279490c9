"""Speed and memory, side by side in one run: `make bench`, or `python benchmarks/bench.py [--out FILE] [--quick]`.

Vectors are synthetic: time and memory depend on sizes only. Ratios are what counts; seconds are of this machine.
"""

from __future__ import annotations

import argparse
import contextlib
import inspect
import os
import platform
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from rich.console import Console
from rich.progress import track
from rich.table import Table
from transformers import Qwen2Config, Qwen2ForCausalLM

from memreward.features.cache import DiskVectorStore
from memreward.features.encoder import CachedEncoder, load_encoder
from memreward.graph.propagate import LabelledRollouts
from memreward.integrations.trl_prompts import prompt_sharing_trainer
from memreward.policy.local import LocalSampler, Prompt
from memreward.policy.settings import SamplingConfig
from memreward.predict.config import PredictorConfig
from memreward.predict.crossfit import CrossFit, Part, crossfit
from memreward.predict.inputs import UNKNOWN
from memreward.predict.scorer import FrozenMemory, Scorer
from memreward.types import Features

DIMENSION, EVIDENCE, GROUP = 384, 45, 8
BATCH = 128
"""Queries of a batch: 128 x 8 = 1,024 rollouts."""


def unit(generator: np.random.Generator, rows: int, width: int = DIMENSION) -> np.ndarray:
    vectors = generator.standard_normal((rows, width), dtype=np.float32)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def synthetic(queries: int, seed: int, prefix: str) -> tuple[Features, torch.Tensor]:
    """Rollouts of `queries` queries whose evidence knows something of the labels."""
    generator = np.random.default_rng(seed)
    rows = queries * GROUP
    group = np.repeat(np.arange(queries), GROUP)
    label = generator.integers(0, 2, rows)
    evidence = generator.standard_normal((rows, EVIDENCE), dtype=np.float32)
    evidence[:, :5] += 0.5 * label[:, None]
    features = Features(
        rollout_ids=tuple(f"{prefix}{i}" for i in range(rows)),
        query_ids=tuple(f"{prefix}{i}" for i in range(queries)),
        group=group,
        domain=np.zeros(queries, dtype=np.int64),
        query_vectors=unit(generator, queries),
        thinking_vectors=unit(generator, rows),
        answer_vectors=unit(generator, rows),
        cluster=group * 4 + generator.integers(0, 4, rows),
        evidence=evidence,
        evidence_names=tuple(f"signal_{i}" for i in range(EVIDENCE)),
        outline_vectors=unit(generator, rows, 64),
    )
    return features, torch.from_numpy(label)


def seconds(action: Callable[[], object], repeats: int = 3) -> float:
    """Least wall time of some runs."""
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        action()
        times.append(time.perf_counter() - start)
    return min(times)


def with_memory_of(scorer: Scorer, queries: int) -> Scorer:
    """Return the same models over a synthetic memory of another size."""
    generator = np.random.default_rng(queries)
    width = scorer.config.hidden
    states = tuple(
        tuple(torch.from_numpy(generator.standard_normal((queries, width), dtype=np.float32)) for _ in rounds)
        for rounds in scorer.memory.states
    )
    memory = FrozenMemory(
        tuple(f"m{i}" for i in range(queries)),
        torch.from_numpy(unit(generator, queries)),
        torch.arange(queries) % scorer.config.folds,
        states,
        LabelledRollouts(
            GROUP * torch.arange(queries + 1),
            torch.from_numpy(unit(generator, queries * GROUP, 64)).half(),
            torch.arange(queries * GROUP) % 2 == 0,
        ),
    )
    return Scorer(scorer.members, scorer.scaler, scorer.config, memory)


def rebuild_everything(scorer: Scorer, memory: Features, label: torch.Tensor, batch: Features) -> torch.Tensor:
    """One step the plain way: all-pairs similarity of memory and batch, and the whole graph through every member."""
    both = joined(memory, batch)
    cosine = both.query_vectors @ both.query_vectors.T
    np.fill_diagonal(cosine, -np.inf)
    cosine = cosine[:, : len(memory.query_ids)]
    labels = torch.cat([label, torch.full((len(batch),), UNKNOWN)])
    logits = []
    for member in scorer.members:
        outside = (scorer.memory.folds != member.fold).nonzero().squeeze(1)
        nearest = torch.from_numpy(cosine[:, outside.numpy()]).topk(scorer.config.graph.neighbours, dim=1)
        found = (outside[nearest.indices], nearest.values)
        part = Part.of(both, labels, found, scorer.memory.labelled, scorer.scaler, scorer.config)
        with torch.no_grad():
            out, _ = part.forward(member.network, labels, part.neighbours, None)
        logits.append(out[len(memory) :])
    return torch.stack(logits)


def joined(first: Features, second: Features) -> Features:
    """Put two sets of features after one another."""
    names = ("query_vectors", "thinking_vectors", "answer_vectors", "evidence", "outline_vectors", "domain")
    offset = int(first.cluster.max()) + 1
    return replace(
        first,
        **{name: np.concatenate([getattr(first, name), getattr(second, name)]) for name in names},
        rollout_ids=first.rollout_ids + second.rollout_ids,
        query_ids=first.query_ids + second.query_ids,
        group=np.concatenate([first.group, second.group + len(first.query_ids)]),
        cluster=np.concatenate([first.cluster, second.cluster + offset]),
    )


def bench_scoring(scorer: Scorer, batch: Features, sizes: list[int]) -> list[tuple[str, str]]:
    """Time scoring of 1,024 rollouts, neighbour search apart, at several sizes of memory."""
    rows, messages = [], {}
    for size in track(sizes, "scoring by size of memory"):
        larger = with_memory_of(scorer, size)
        found = larger.neighbours(batch)
        messages[size] = seconds(lambda s=larger, f=found: s.logits(batch, f))
        search = seconds(lambda s=larger: s.neighbours(batch))
        rows.append((f"score 1,024 rollouts, memory of {size:,} queries", f"{1000 * messages[size]:.0f} ms"))
        rows.append((f"  neighbour search (5 blind folds), {size:,} queries", f"{1000 * search:.0f} ms"))
        kib = larger.memory.nbytes() / size / 1024
        rows.append((f"  frozen scorer's memory per query, {size:,} queries", f"{kib:.2f} KiB"))
    rows.append(
        (f"ratio {sizes[1]:,} / {sizes[0]:,} queries, search aside", f"{messages[sizes[1]] / messages[sizes[0]]:.2f}")
    )
    return rows


def bench_rebuild(
    scorer: Scorer, batch: Features, label_of: Callable[[int], tuple[Features, torch.Tensor]], queries: int
) -> list[tuple[str, str]]:
    """Compare with rebuilding everything at each step, in time and in result."""
    known, label = label_of(queries)
    frozen = refrozen(scorer, known, label)
    incremental = frozen.logits(batch)[1]
    plain = rebuild_everything(frozen, known, label, batch)
    slow = seconds(lambda: rebuild_everything(frozen, known, label, batch), repeats=1)
    fast = seconds(lambda: frozen.logits(batch))
    return [
        (f"rebuild all pairs and the whole graph, {queries:,} queries", f"{slow:.2f} s"),
        (f"incremental with search, {queries:,} queries", f"{fast:.3f} s"),
        (f"ratio rebuild / incremental, {queries:,} queries", f"{slow / fast:.0f}"),
        (
            f"largest difference of logits (their spread), {queries:,} queries",
            f"{float((incremental - plain).abs().max()):.1e} ({float(plain.std()):.1e})",
        ),
    ]


def refrozen(scorer: Scorer, known: Features, label: torch.Tensor) -> Scorer:
    """Freeze another memory under the same models."""
    folds = torch.arange(len(known.query_ids)) % scorer.config.folds
    fit = CrossFit(scorer.members, folds, scorer.scaler, 1.0, 1.0, 0, torch.zeros(len(label)))
    return Scorer.freeze(fit, known, label, scorer.config)


def bench_warmup(queries: int) -> list[tuple[str, str]]:
    """Time five folds."""
    features, label = synthetic(queries, 5, "w")
    took = seconds(lambda: crossfit(features, label, PredictorConfig(), 0), repeats=1)
    return [(f"warmup, five folds, {queries:,} labelled queries x {GROUP}", f"{took:.0f} s")]


def bench_encoder(texts: int) -> list[tuple[str, str]]:
    """Time the encoder with an empty and with a full cache."""
    sentences = [
        f"Step {i}: multiply {i} by {i + 3}, then take {i % 7} away and divide by two." * 3 for i in range(texts)
    ]
    with tempfile.TemporaryDirectory() as folder:
        plain = load_encoder("all-MiniLM-L6-v2")
        cached = CachedEncoder(plain, DiskVectorStore(plain.name, folder))
        cold = seconds(lambda: cached.encode(sentences), repeats=1)
        warm = seconds(lambda: cached.encode(sentences), repeats=1)
    return [
        ("texts encoded per second, empty cache", f"{texts / cold:,.0f}"),
        ("texts encoded per second, known texts", f"{texts / warm:,.0f}"),
        ("ratio", f"{cold / warm:.0f}"),
    ]


def small_policy() -> Qwen2ForCausalLM:
    """A random model of ten million parameters: large enough that its layers, not Python, take the time."""
    config = Qwen2Config(
        vocab_size=8_000,
        hidden_size=256,
        intermediate_size=1_024,
        num_hidden_layers=6,
        num_attention_heads=4,
        num_key_value_heads=2,
        eos_token_id=0,
        pad_token_id=0,
        bos_token_id=None,
    )
    return Qwen2ForCausalLM(config).eval()


def prompts_and_completions(length: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Four prompts, eight rollouts each: a preamble of 180 tokens, 60 of one's own, then completions."""
    generator = torch.Generator().manual_seed(0)
    preamble = torch.randint(4, 8_000, (1, 1, 180), generator=generator).expand(4, GROUP, -1)
    asked = torch.randint(4, 8_000, (4, 1, 60), generator=generator).expand(-1, GROUP, -1)
    said = torch.randint(4, 8_000, (4, GROUP, length), generator=generator)
    tokens = torch.cat([preamble, asked, said], 2).flatten(0, 1)
    mask = torch.ones_like(tokens)
    for row in range(len(tokens)):
        mask[row, 240 + length // 2 + row * (length // 2) // len(tokens) :] = 0
    return tokens * mask, mask


def bench_states(length: int) -> list[tuple[str, str]]:
    """Compare sampling with and without the policy's hidden states."""
    model, tokenizer = small_policy(), SimpleNamespace(eos_token_id=0, decode=lambda *_, **__: "")
    tokens, _ = prompts_and_completions(length)
    prompts = [Prompt(str(i), tuple(row[:240].tolist()), 180) for i, row in enumerate(tokens[::GROUP])]

    def sample(layer: int | None) -> None:
        config = SamplingConfig("", rollouts=GROUP, temperature=1.0, top_p=1.0, max_new_tokens=length)
        list(LocalSampler(config, model=model, tokenizer=tokenizer, state_layer=layer).sample(prompts))

    plain, with_states = (seconds(lambda layer=layer: sample(layer)) for layer in (None, 4))
    return [
        (f"sample 4 x {GROUP} rollouts of {length} tokens", f"{plain:.2f} s"),
        ("ratio with the policy's hidden states / without", f"{with_states / plain:.2f}"),
    ]


def bench_prompts(length: int) -> list[tuple[str, str]]:
    """Compare TRL's training pass, there and back, with the one that shares prompts."""
    from trl.trainer.grpo_trainer import GRPOTrainer
    from trl.trainer.utils import add_fused_lm_head

    model = small_policy()
    add_fused_lm_head(model, outputs=("log_probs", "entropy"))
    tokens, mask = prompts_and_completions(length)
    accelerator = SimpleNamespace(num_processes=1, autocast=contextlib.nullcontext)
    trainer = SimpleNamespace(model=model, accelerator=accelerator)

    def there_and_back(kind: type[Any]) -> None:
        model.zero_grad()
        read = inspect.unwrap(kind._get_per_token_logps_and_entropies)  # without TRL's profiling
        read(trainer, model, tokens, mask, length, compute_entropy=True)[0].sum().backward()

    kinds = GRPOTrainer, prompt_sharing_trainer()
    slow, fast = (seconds(lambda kind=kind: there_and_back(kind)) for kind in kinds)
    return [
        (f"training pass of 4 x {GROUP} rollouts, {length} tokens after prompts of 240", f"{slow:.2f} s"),
        ("ratio every prompt for itself / shared", f"{slow / fast:.1f}"),
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, help="also write the table as Markdown")
    parser.add_argument("--quick", action="store_true", help="smaller sizes, to see that it runs")
    options = parser.parse_args()
    scale = 10 if options.quick else 1
    torch.manual_seed(0)
    known, label = synthetic(200 // scale * 2, 0, "k")
    config = PredictorConfig(epochs=4)
    scorer = Scorer.freeze(fit := crossfit(known, label, config, 0), known, label, config)
    for member in fit.members:  # the head starts at zero: give it weights, so that differences would show
        torch.nn.init.normal_(member.network.head.last.weight, std=0.3)
    batch, _ = synthetic(BATCH, 1, "b")
    rows = bench_scoring(scorer, batch, [1_000 // scale, 10_000 // scale, 100_000 // scale])
    stages: list[Callable[[], list[tuple[str, str]]]] = [
        lambda: bench_encoder(512 // scale),
        lambda: bench_rebuild(scorer, batch, lambda n: synthetic(n, 2, "m"), 1_000 // scale),
        lambda: bench_rebuild(scorer, batch, lambda n: synthetic(n, 2, "m"), 10_000 // scale),
        lambda: bench_warmup(1_000 // scale),
        lambda: bench_states(64 // scale),
        lambda: bench_prompts(64 // scale),
    ]
    for stage in track(stages, "rebuilding, warming up, encoding, sampling, training"):
        if options.out:
            options.out.write_text(markdown(rows))
        rows += stage()
    table = Table("measure", "value", title=f"memreward, {os.cpu_count()} cores, torch {torch.__version__}")
    for row in rows:
        table.add_row(*row)
    Console().print(table)
    if options.out:
        options.out.write_text(markdown(rows))


def markdown(rows: list[tuple[str, str]]) -> str:
    """Render the rows as a page."""
    head = (
        "# Speed and memory\n\n`make bench` printed this on "
        f"{os.cpu_count()} cores ({platform.machine()}, Python {platform.python_version()}, "
        f"torch {torch.__version__}). Vectors are synthetic.\n\n| measure | value |\n|---|---|\n"
    )
    return head + "".join(f"| {name.strip()} | {value} |\n" for name, value in rows)


if __name__ == "__main__":
    main()
