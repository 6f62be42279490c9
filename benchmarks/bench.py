"""Speed and memory, side by side in one run: `make bench`, or `python benchmarks/bench.py [--out FILE] [--quick]`.

Texts are synthetic, of the length of solutions to MATH. Ratios are what counts; seconds are of this machine.
"""

from __future__ import annotations

import argparse
import contextlib
import inspect
import os
import platform
import random
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from rich.console import Console
from rich.progress import track
from rich.table import Table
from transformers import Qwen2Config, Qwen2ForCausalLM

from lab.trl_prompts import prompt_sharing_trainer
from memreward.answers import AnswerModel
from memreward.data import read_groups
from memreward.domains import parse_rollout
from memreward.features.evidence import compute_evidence
from memreward.features.featurizer import Featurizer
from memreward.network.encoder import load_encoder
from memreward.reward.valuers import HALF_LIFE
from memreward.types import Query, Rollout

GROUP = 8
BATCH = 128
"""Queries of a batch: 128 x 8 = 1,024 rollouts."""
PROSE = "we add the number of apples to get total then divide by two so that each child has equal share of them"


def completions(queries: int, seed: int, steps: int = 14) -> list[tuple[Query, list[str]]]:
    """Groups of solutions of MATH length, some 1,000 characters each: prose, arithmetic, a boxed answer."""
    draw = random.Random(seed)
    groups = []
    for number in range(queries):
        query = Query(f"{seed}-{number}", f"A puzzle of {number} apples and {draw.randint(2, 99)} children.", "math")
        texts = []
        for _ in range(GROUP):
            lines = []
            for step in range(steps):
                a, b = draw.randint(2, 99), draw.randint(2, 99)
                prose = " ".join(draw.sample(PROSE.split(), 10))
                lines.append(f"Step {step + 1}: {prose}, so ${a} + {b} = {a + b}$.")
            texts.append("\n".join(lines) + f"\nThe answer is \\boxed{{{draw.choice([a, a, a, b, a + b])}}}.")
        groups.append((query, texts))
    return groups


def parsed(groups: list[tuple[Query, list[str]]]) -> list[Rollout]:
    return [parse_rollout(query, text, id=f"{query.id}/{i}") for query, texts in groups for i, text in enumerate(texts)]


def seconds(action: Callable[[], object], repeats: int = 3) -> float:
    """Least wall time of some runs."""
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        action()
        times.append(time.perf_counter() - start)
    return min(times)


def bench_file(path: Path) -> list[tuple[str, str]]:
    """Time a step on the first 1,024 rollouts of a file; synthetic texts hold more arithmetic than real ones."""
    texts = [(group.query, [rollout.text for rollout in group.rollouts]) for group in read_groups(path)]
    ends = np.cumsum([len(each) for _, each in texts])
    count = int(np.searchsorted(ends, GROUP * BATCH))
    rows = bench_step(texts[:count])
    return [(f"{rows[-1][0]}: {ends[count - 1]:,} rollouts of {path.name}", rows[-1][1])]


def bench_step(texts: list[tuple[Query, list[str]]]) -> list[tuple[str, str]]:
    """Time what a step of 1,024 new rollouts costs, first time: parsing, evidence, probabilities and advantages."""
    parsed(completions(2, 9)), compute_evidence(parsed(completions(2, 9)))  # processes up, imports done
    start = time.perf_counter()
    rollouts = parsed(texts)
    read = time.perf_counter()
    features = Featurizer().features(rollouts)
    gathered = time.perf_counter()
    model = AnswerModel().fit(features, np.full(len(features), -1, np.int8))
    fitted = time.perf_counter()
    model.beliefs(features).advantages()
    done = time.perf_counter()
    return [
        ("parse 1,024 rollouts of MATH length", f"{read - start:.2f} s"),
        ("evidence of 1,024 rollouts, texts never seen", f"{gathered - read:.2f} s"),
        ("the same, texts seen before", f"{seconds(lambda: Featurizer().features(rollouts)):.2f} s"),
        ("begin a model on them, no label", f"{1000 * (fitted - gathered):.0f} ms"),
        ("probabilities and expected advantages of 1,024 rollouts", f"{1000 * (done - fitted):.0f} ms"),
        ("a step, everything included", f"{done - start:.2f} s"),
    ]


def bench_learning(steps: tuple[int, int]) -> list[tuple[str, str]]:
    """Time scoring and learning with little and with much learned so far: labelled groups of so many steps."""
    batch = Featurizer().features(parsed(completions(BATCH, 1)))
    unlabelled = np.full(len(batch), -1, np.int8)
    told = Featurizer().features(parsed(completions(26, 2)))
    right = (np.random.default_rng(0).random(int(told.cluster.max()) + 1) < 0.4)[told.cluster].astype(np.int8)
    rows, scoring = [], []
    for count in steps:
        model = AnswerModel().fit(batch, unlabelled)
        for step in track(range(count), f"learning from {count} steps"):
            model.observe(told, right, step, HALF_LIFE)
        scoring.append(seconds(lambda m=model: m.beliefs(batch)))
        learning = seconds(lambda m=model, s=count: m.observe(told, right, s, HALF_LIFE), repeats=1)
        rows.append((f"score 1,024 rollouts after {count} steps of 26 labelled groups", f"{1000 * scoring[-1]:.0f} ms"))
        rows.append((f"learn from one step more after {count} steps", f"{1000 * learning:.0f} ms"))
    return [*rows, (f"ratio of scoring after {steps[1]} / {steps[0]} steps", f"{scoring[1] / scoring[0]:.2f}")]


def bench_text_vectors(rollouts: int) -> list[tuple[str, str]]:
    """Compare with what the text vectors of the paper's preset cost, on fewer rollouts."""
    some = parsed(completions(rollouts // GROUP, 3))
    texts = [text for rollout in some for text in (rollout.thinking, rollout.answer or "")]
    plain = load_encoder("all-MiniLM-L6-v2")
    plain.encode(texts[:8])
    vectors = seconds(lambda: plain.encode(texts), repeats=1)
    start = time.perf_counter()
    Featurizer().features(parsed(completions(rollouts // GROUP, 4)))
    ours = time.perf_counter() - start
    return [
        (f"MiniLM vectors of {rollouts} rollouts", f"{vectors:.1f} s"),
        ("ratio MiniLM vectors / parsing and evidence, the same number of rollouts", f"{vectors / ours:.0f}"),
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
    parser.add_argument("--rollouts", type=Path, help="also time a step on the first 1,024 rollouts of this file")
    parser.add_argument("--quick", action="store_true", help="smaller sizes, to see that it runs")
    options = parser.parse_args()
    scale = 10 if options.quick else 1
    torch.manual_seed(0)
    rows: list[tuple[str, str]] = []
    stages: list[Callable[[], list[tuple[str, str]]]] = [
        lambda: bench_step(completions(BATCH, 1)),
        *([partial(bench_file, options.rollouts)] if options.rollouts else []),
        lambda: bench_learning((10 // scale, 400 // scale)),
        lambda: bench_text_vectors(128 // scale * 2),
        lambda: bench_prompts(64 // scale),
    ]
    for stage in stages:
        rows += stage()
        if options.out:
            options.out.write_text(markdown(rows))
    table = Table("measure", "value", title=f"memreward, {os.cpu_count()} cores, torch {torch.__version__}")
    for row in rows:
        table.add_row(*row)
    Console().print(table)


def markdown(rows: list[tuple[str, str]]) -> str:
    """Render the rows as a page."""
    head = (
        "# Speed and memory\n\n`make bench` printed this on "
        f"{os.cpu_count()} cores ({platform.machine()}, Python {platform.python_version()}, "
        f"torch {torch.__version__}). Texts are synthetic.\n\n| measure | value |\n|---|---|\n"
    )
    return head + "".join(f"| {name.strip()} | {value} |\n" for name, value in rows)


if __name__ == "__main__":
    main()
