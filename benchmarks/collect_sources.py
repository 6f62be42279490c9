"""Sample the rollout files that a reward prior learns from: groups of 8 samples of one policy, as training sees them.

    python benchmarks/collect_sources.py MODEL QUESTIONS --work runs/sources --out examples/sources [--only NAME ...]

samples each source of the list below until its file in OUT has as many questions as the list names; no question that
another file in OUT asks is asked again. MODEL is the checkpoint folder of a small instruct model; QUESTIONS a folder of
question files (gsm8k_train.jsonl.gz and so on), of which a missing one costs its sources only. What is finished of a
source waits in the journal beside its file in WORK, so that the same command goes on after an interruption. Rollouts
are judged by the verifiers as soon as all of the source's are there.

Tokens are what costs, most of all on a shared processor. With `--int8` the linear layers reckon in eight bits (weights
by output channel, inputs by token), which is a policy of its own, a little off the model's, and named so. `--at-most`
ends each source at so many questions, which are a mixture of all its kinds; those already sampled are kept.

With `--card` nothing is sampled: it prints one line of figures for each file in OUT.
"""

from __future__ import annotations

import argparse
import random
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lab.families import FAMILIES, TEMPLATES, Family, with_options
from lab.families import load as load_families
from memreward.data import read_groups, write_groups
from memreward.data.files import sample_questions
from memreward.memory import measured
from memreward.policy.collect import CollectConfig, collect
from memreward.policy.settings import SamplingConfig
from memreward.types import Group

if TYPE_CHECKING:
    from lab.decoding.decoder import GroupDecoder

EXAMPLE = Path(__file__).parents[1] / "src/memreward/demo/qwen2.5-coder-0.5b_reasoning-gym.jsonl.gz"
SEED = 19
ROLLOUTS = 8


@dataclass(frozen=True)
class Source:
    """One file to sample.

    Attributes:
        questions: Questions by file of the questions folder or by family of reasoning-gym, with their number.
        temperature: Of sampling.
        tokens: Length limit of a rollout.
        suits: Which questions are asked; None for all.
        seed: Of generated questions.
    """

    questions: Mapping[str, int]
    temperature: float
    tokens: int
    suits: Callable[[Group], bool] | None = None
    seed: int = SEED


def _number(item: Mapping[str, Any], _: random.Random) -> tuple[str, str]:
    return item["question"].strip(), str(item["answer"]).strip()


def _true_or_false(item: Mapping[str, Any], rng: random.Random) -> tuple[str, str]:
    answer = str(item["answer"])
    return with_options(item["question"].strip(), answer, [{"True": "False", "Yes": "No"}.get(answer) or
                        {"False": "True", "No": "Yes"}[answer]], rng)  # fmt: skip


def _who(item: Mapping[str, Any], rng: random.Random) -> tuple[str, str] | None:
    statements, _, asked = item["question"].strip().rpartition("\n")
    names = {sentence.split()[0] for sentence in statements.split(". ") if sentence.strip()}
    others = sorted(names - {item["answer"]})
    if len(others) < 3:
        return None
    return with_options(f"{statements}\n{asked.split('?')[0]}?", item["answer"], rng.sample(others, 3), rng)


def _backward(item: Mapping[str, Any], rng: random.Random) -> tuple[str, str] | None:
    answer = str(item["answer"])
    others = {"".join(rng.sample(answer, len(answer))) for _ in range(12)} - {answer}
    if len(others) < 3:
        return None
    return with_options(item["question"].strip(), answer, sorted(others)[:3], rng)


def _candidate(item: Mapping[str, Any], rng: random.Random) -> tuple[str, str] | None:
    numbers = [f"{number:.3f}" for number in item["metadata"]["candidates"]]
    answer = f"{item['metadata']['solution']:.3f}"
    if len(set(numbers)) < 3 or answer not in numbers:
        return None
    side = "largest" if item["metadata"]["solution"] == max(item["metadata"]["candidates"]) else "smallest"
    others = [number for number in numbers if number != answer]
    return with_options(f"Which of these numbers is the {side}?", answer, others, rng)


def _two_people(item: Mapping[str, Any], rng: random.Random) -> tuple[str, str] | None:
    question = item["question"].partition(" (Format your answer")[0].strip()
    first, second = item["metadata"]["names"]
    truth, lie = item["metadata"]["knight_knave_terms"]["a_knight"], item["metadata"]["knight_knave_terms"]["a_knave"]
    options = [f"{first} is {a}, and {second} is {b}." for a in (truth, lie) for b in (truth, lie)]
    if item["answer"] not in options:
        return None
    return with_options(question, item["answer"], [option for option in options if option != item["answer"]], rng)


def _calendar(task: str, ask: Any, domain: Any = "math", **settings: Any) -> Family:
    return Family("calendar_arithmetic", ask, domain, {"tasks": [task], **settings})


# Beside the families of the package: easier ones, since a prior must know strong policies too, and other choices.
MORE_FAMILIES = {
    "short_sum": Family("chain_sum", _number, settings={"max_terms": 3, "max_digits": 2}),
    "decimal_sum": Family(
        "decimal_chain_sum", _number, settings={"max_terms": 2, "max_digits": 2, "max_decimal_places": 1}
    ),
    "count_primes": Family("count_primes", _number, settings={"max_n": 60}),
    "count_bits": Family("count_bits", _number, settings={"max_n": 255}),
    "base_conversion": Family("base_conversion", _number, settings={"max_base": 10, "max_value": 60}),
    "coin_flip": Family("coin_flip", _number, settings={"min_trials": 2, "max_trials": 5}),
    "dice": Family("dice", _number, settings={"num_dice": 2, "max_dice_size": 8}),
    "count_weekdays": _calendar("count_days", _number, offset_upper_bound=40),
    "day_of_month": _calendar("recurring_event_day", _number),
    "few_legs": Family("leg_counting", _number, settings={"min_animals": 1, "max_animals": 2, "max_instances": 5}),
    "few_letters": Family("letter_counting", _number, settings={"min_words": 1, "max_words": 2}),
    "easy_sequence": Family("number_sequence", _number, settings={"max_complexity": 1}),
    "longer_word_problems": Family("gsm_symbolic", _number, wordings=range(16, 30)),
    "leap_year": _calendar("is_leap_year", _true_or_false, "qa"),
    "ransom_note": Family("ransom_note", _true_or_false, "qa", {"max_note_length": 4, "max_magazine_length": 10}),
    "isomorphic_strings": Family("isomorphic_strings", _true_or_false, "qa", {"max_string_length": 5}),
    "course_schedule": Family(
        "course_schedule", _true_or_false, "qa",
        {"min_num_courses": 3, "max_num_courses": 5, "min_cycle_length": 3, "max_cycle_length": 3},
    ),
    "needle_haystack": Family("needle_haystack", _who, "qa", {"min_num_statements": 5, "max_num_statements": 8}),
    "spell_backward": Family("spell_backward", _backward, "qa", {"min_word_len": 4, "max_word_len": 6}),
    "number_format": Family("number_format", _candidate, "qa", {"min_num_candidates": 3, "max_n": 10000}),
    "knights_knaves": Family("knights_knaves", _two_people, "qa"),
}  # fmt: skip


def _easy_levels(group: Group) -> bool:
    return group.provenance["level"] in ("Level 1", "Level 2", "Level 3")


SOURCES = {
    "arc-challenge_t1.0": Source({"arc-challenge_train.jsonl.gz": 150}, 1.0, 96),
    "gym-easy_t0.7": Source(
        {"short_sum": 24, "decimal_sum": 16, "few_legs": 20, "few_letters": 16, "easy_sequence": 20, "two_step": 24,
         "aiw": 12, "coin_flip": 10, "day_of_month": 8},
        0.7, 112,
    ),
    "gsm8k_t0.7": Source({"gsm8k_train.jsonl.gz": 150}, 0.7, 180),
    "openbookqa_t0.7": Source({"openbookqa_train.jsonl.gz": 150}, 0.7, 96),
    "siqa_t1.0": Source({"siqa_test.jsonl.gz": 150}, 1.0, 96),
    "mbpp_t0.7": Source({"mbppplus.jsonl.gz": 150}, 0.7, 180),
    "piqa_t0.7": Source({"piqa_test.jsonl.gz": 150}, 0.7, 96),
    "gym-choice_t0.7": Source(
        {"leap_year": 14, "ransom_note": 16, "isomorphic_strings": 14, "course_schedule": 12, "needle_haystack": 20,
         "spell_backward": 16, "number_format": 16, "knights_knaves": 14, "calendar_weekday": 14,
         "color_cube_rotation": 14},
        0.7, 96,
    ),
    "gym-hard_t1.0": Source(
        {"longer_word_problems": 38, "count_primes": 10, "count_bits": 12, "base_conversion": 14, "dice": 8,
         "count_weekdays": 12, "leg_counting": 16, "number_sequence": 16, "gcd": 12, "lcm": 12},
        1.0, 160,
    ),
    "math-levels-1-3_t0.7": Source({"math_test.jsonl.gz": 150}, 0.7, 256, _easy_levels),
    "commonsenseqa_t0.7": Source({"commonsenseqa_train.jsonl.gz": 150}, 0.7, 96),
    "gym-second_t1.0": Source(
        {"short_sum": 20, "decimal_sum": 18, "few_legs": 18, "few_letters": 8, "easy_sequence": 18, "two_step": 30,
         "gcd": 10, "simple_equations": 10, "coin_flip": 4, "leg_counting": 8, "count_bits": 6},
        1.0, 112, seed=20,
    ),
    "gsm8k_t1.0": Source({"gsm8k_train.jsonl.gz": 150}, 1.0, 180),
}  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model", help="checkpoint folder")
    parser.add_argument("questions", type=Path, help="folder of question files")
    parser.add_argument("--work", type=Path, default=Path("runs/sources"), help="where unfinished files wait")
    parser.add_argument("--out", type=Path, default=Path("examples/sources"), help="where finished files go")
    parser.add_argument("--model-name", default="Qwen2.5-Coder-0.5B-Instruct", help="how the files name the model")
    parser.add_argument("--prefix", default="qwen2.5-coder-0.5b", help="beginning of the files' names")
    parser.add_argument("--only", nargs="*", default=list(SOURCES), choices=list(SOURCES), help="sources to sample")
    parser.add_argument("--groups-per-batch", type=int, default=16, help="questions decoded together")
    parser.add_argument("--at-most", type=int, default=10_000, help="questions a source")
    parser.add_argument("--int8", action="store_true", help="reckon the linear layers in eight bits: faster on a CPU")
    parser.add_argument("--card", action="store_true", help="print the figures of the files in --out")
    options = parser.parse_args()
    if options.card:
        print_cards(sorted(options.out.glob("*.jsonl.gz")))
        return
    FAMILIES.update(MORE_FAMILIES)
    (options.work / "questions").mkdir(parents=True, exist_ok=True)
    options.out.mkdir(parents=True, exist_ok=True)
    sampler = None
    for name in options.only:
        finished = options.out / f"{options.prefix}_{name}.jsonl.gz"
        there = list(read_groups(finished)) if finished.exists() else []
        lacking = min(sum(SOURCES[name].questions.values()), options.at_most) - len(there)
        if lacking <= 0:
            continue
        asked = options.work / "questions" / finished.name
        # What was begun is gone on with, whatever other sources have asked since.
        if not asked.exists():
            told = _texts([EXAMPLE, *options.out.glob("*.jsonl.gz")])
            try:
                left = _questions(SOURCES[name], options.questions, told)[:lacking]
            except FileNotFoundError as error:
                print(f"{name}: left out, as {error.filename} is missing", flush=True)
                continue
            if not left:
                print(f"{name}: left as it is, as every question is asked already", flush=True)
                continue
            write_groups(asked, left)
        config = CollectConfig(
            output=str(options.work / finished.name),
            sampling=SamplingConfig(
                options.model_name + "-int8" * options.int8,
                ROLLOUTS,
                SOURCES[name].temperature,
                max_new_tokens=SOURCES[name].tokens,
                seed=SEED,
            ),
            questions=(str(asked),),
            templates=str(TEMPLATES),
        )
        print(f"{name}: begins", flush=True)
        if sampler is None:
            sampler = _sampler(config, options)
        sampled = Path(config.output)
        if not sampled.exists():
            collect(config, sampler=sampler)
        held = {group.query.id for group in there}  # all of them, where the last run was killed behind the next line
        write_groups(finished, [*there, *(group for group in read_groups(sampled) if group.query.id not in held)])
        asked.unlink()
        sampled.unlink()
        print_cards([finished])


def _sampler(config: CollectConfig, options: argparse.Namespace) -> GroupDecoder:
    import torch

    from lab.decoding.decoder import GroupDecoder

    torch.set_num_threads(1)
    named = replace(config.sampling, model=options.model)
    sampler = GroupDecoder(named, groups_per_batch=options.groups_per_batch, dtype="bfloat16")
    if options.int8:
        from int8 import reckon_in_eight_bits

        reckon_in_eight_bits(sampler.model)
    return sampler


def _questions(source: Source, folder: Path, told: Collection[str]) -> list[Group]:
    """The questions of a source, mixed, so that a source that is cut short has some of each family."""
    kept: list[tuple[float, Group]] = []
    for name, count in source.questions.items():
        if name in FAMILIES:
            drawn = load_families(f"{name}:{3 * count}", source.seed)
            members = [group for group in drawn if _plain(group) not in told][:count]
        else:
            drawn = _from_file(folder / name)
            members = [
                group for group in drawn
                if _plain(group) not in told and (source.suits is None or source.suits(group))
            ][:count]  # fmt: skip
        kept += [((index + 0.5) / len(members), group) for index, group in enumerate(members)]
    return [group for _, group in sorted(kept, key=lambda entry: entry[0])]


def _from_file(path: Path) -> list[Group]:
    """A file's questions in random order; of MATH, without the questions of MATH-500."""
    if not path.is_file():
        raise FileNotFoundError(2, "no such file", str(path))
    held_out = _texts([path.with_name("math500_test.jsonl.gz")]) if path.name.startswith("math_test") else set()
    groups = [group.question() for group in read_groups(path) if _plain(group) not in held_out]
    return sample_questions(groups, len(groups), SEED)


def _texts(paths: Iterable[Path]) -> set[str]:
    return {_plain(group) for path in paths for group in read_groups(path)}


def _plain(group: Group) -> str:
    return " ".join(group.query.text.split())


def print_cards(paths: Iterable[Path]) -> None:
    """One row of a Markdown table for each file."""
    for path in paths:
        groups = list(read_groups(path))
        right = measured(groups)
        verdicts = [[right[rollout.id] for rollout in group.rollouts if rollout.id in right] for group in groups]
        known = [verdict for group in verdicts for verdict in group]
        rollouts = [rollout for group in groups for rollout in group.rollouts]
        mixed = sum(len(set(group)) == 2 for group in verdicts)
        tokens = sum(len(rollout.token_logprobs or ()) for rollout in rollouts)
        figures = [
            path.name.removesuffix(".jsonl.gz"), groups[0].query.domain, f"{len(groups)} x {ROLLOUTS}",
            f"{sum(known) / max(len(known), 1):.2f}", f"{mixed / len(groups):.2f}",
            f"{sum(rollout.answer is not None for rollout in rollouts) / len(rollouts):.2f}",
            f"{len(known) / len(rollouts):.3f}", f"{tokens / len(rollouts):.0f}",
            f"{sum(bool(rollout.truncated) for rollout in rollouts) / len(rollouts):.2f}",
        ]  # fmt: skip
        print(f"| {' | '.join(figures)} |", flush=True)


if __name__ == "__main__":
    main()
