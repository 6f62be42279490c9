"""Procedural questions: families of generated questions whose instances are alike in wording and differ in content.

python -m lab.families gcd:50,lcm:50 questions.jsonl
"""

from __future__ import annotations

import random
import sys
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import count, islice
from pathlib import Path
from typing import Any

from memreward.data import write_groups
from memreward.data.options import LETTERS, lettered
from memreward.types import ConfigurationError, Domain, Group, Query, Truth, content_hash

Item = Mapping[str, Any]
Ask = Callable[[Item, random.Random], tuple[str, str] | None]
"""Turns a generated item into question text and reference, or None where the item does not suit."""

TEMPLATES = Path(__file__).with_name("templates")
"""Folder of their prompts."""
_GENERATED = {"source": "reasoning-gym", "license": "Apache-2.0"}
_MANY = 20_000
# An item's index names its wording whatever the number of wordings in use, so that ids stay when that changes.
_CYCLE = 30
_TRIED = 8


@dataclass(frozen=True)
class Family:
    """One family of questions, by a generator of `reasoning-gym` with settings, and `ask` for its items.

    Wordings are those to draw from in turn, of a generator that has a list of them: places, 0 to 29, in the order of
    the length of their worked solutions. Empty leaves the choice to the generator.
    """

    generator: str
    ask: Ask
    domain: Domain = "math"
    settings: Mapping[str, Any] = field(default_factory=dict)
    wordings: Collection[int] = ()


def with_options(question: str, answer: str, others: Sequence[str], rng: random.Random) -> tuple[str, str]:
    """Return the question with its options in random order, and the letter of the right one."""
    options = [answer, *others]
    rng.shuffle(options)
    return lettered(question, options), LETTERS[options.index(answer)]


def questions(family: str, size: int, seed: int = 0) -> list[tuple[Query, Truth]]:
    """Draw questions of a family, no text twice. The first n of a larger draw are the draw of size n.

    References are plain numbers (math) or option letters (qa); ids are "rg-<family>-<seed>-<index in the generator>".
    ConfigurationError where the family is unknown or has fewer different questions.
    """
    if family not in FAMILIES:
        raise ConfigurationError(f"question family {family!r} is unknown; use one of {', '.join(sorted(FAMILIES))}")
    found: list[tuple[Query, Truth]] = []
    seen: set[str] = set()
    source = FAMILIES[family]
    for index, item in islice(_items(source, seed), 20 * size + 100):
        if len(found) == size:
            break
        rng = random.Random(content_hash(f"{family} {seed} {index}"))
        asked = source.ask(item, rng)
        if asked is None or asked[0] in seen:
            continue
        text, reference = asked
        seen.add(text)
        query = Query(f"rg-{family}-{seed}-{index}", text, source.domain, f"reasoning-gym/{family}")
        found.append((query, Truth(reference=reference)))
    if len(found) < size:
        raise ConfigurationError(
            f"question family {family!r} gives {len(found)} different questions with seed {seed}, not {size}: "
            "ask for fewer"
        )
    return found


def load(source: str, seed: int = 0) -> list[Group]:
    """Return questions of families, "gcd:50,lcm:50", one after the other."""
    counted = (piece.partition(":") for piece in source.split(","))
    drawn = [questions(family, int(count), seed) for family, _, count in counted]
    return [Group(query, (), truth, _GENERATED) for each in drawn for query, truth in each]


def _items(family: Family, seed: int) -> Any:
    import reasoning_gym

    dataset = reasoning_gym.create_dataset(family.generator, seed=seed, size=_MANY, **family.settings)
    if family.wordings:
        wordings = _shortest_wordings(dataset, _CYCLE)
        dataset.task_indices = [wordings[index % _CYCLE] for index in range(_MANY)]
    return ((index, dataset[index]) for index in count() if not family.wordings or index % _CYCLE in family.wordings)


def _shortest_wordings(dataset: Any, number: int) -> list[int]:
    """Wordings by mean length of the worked solutions of a few instances each."""
    wordings = sorted(set(dataset.task_indices))
    lengths: dict[int, int] = {}
    for wording in wordings:
        dataset.task_indices = [wording] * _MANY
        lengths[wording] = sum(len(dataset[index]["metadata"]["answer_cot"]) for index in range(_TRIED))
    return sorted(wordings, key=lambda wording: (lengths[wording], wording))[:number]


def _plain_number(item: Item, _: random.Random) -> tuple[str, str] | None:
    answer = str(item["answer"]).strip()
    digits = answer.removeprefix("-")
    return (item["question"].strip(), answer) if digits.isdigit() else None


def _number_or_fraction(item: Item, _: random.Random) -> tuple[str, str] | None:
    return item["question"].strip(), str(item["answer"]).strip()


def _up_to_the_question_mark(text: str) -> str:
    return text[: text.rindex("?") + 1].strip()


_RELATIONS = (
    "mother", "father", "son", "daughter", "husband", "wife", "sister", "brother", "grandmother", "grandfather",
    "granddaughter", "grandson", "aunt", "uncle", "niece", "nephew", "mother-in-law", "father-in-law",
    "daughter-in-law", "son-in-law",
)  # fmt: skip


def _relation(item: Item, rng: random.Random) -> tuple[str, str]:
    others = rng.sample([relation for relation in _RELATIONS if relation != item["answer"]], 3)
    return with_options(_up_to_the_question_mark(item["question"]), item["answer"], others, rng)


def _side_colour(item: Item, rng: random.Random) -> tuple[str, str]:
    question, answer = _up_to_the_question_mark(item["question"]), item["answer"]
    sides = [line.split()[2] for line in question.splitlines() if line.startswith("- a ")]
    others = rng.sample([colour for colour in sides if colour != answer], 3)
    return with_options(question, answer, others, rng)


_WEEKDAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")


def _weekday(item: Item, rng: random.Random) -> tuple[str, str]:
    others = rng.sample([day for day in _WEEKDAYS if day != item["answer"]], 3)
    return with_options(item["question"].strip(), item["answer"], others, rng)


def _yes_or_no(item: Item, rng: random.Random) -> tuple[str, str]:
    other = "No" if item["answer"] == "Yes" else "Yes"
    return with_options(_up_to_the_question_mark(item["question"]), item["answer"], [other], rng)


def _reckoned(generator: str, **settings: Any) -> Family:
    return Family(generator, _plain_number, settings=settings)


FAMILIES: dict[str, Family] = {
    "gsm_symbolic": Family("gsm_symbolic", _plain_number, wordings=range(16)),
    # Two steps of reckoning; a 0.5B model gets about half of them right.
    "two_step": Family("gsm_symbolic", _plain_number, wordings=(1, 2, 3, 8, 14, 15)),
    "chain_sum": _reckoned("chain_sum", min_terms=4, max_terms=5, min_digits=2, max_digits=2),
    "basic_arithmetic": _reckoned("basic_arithmetic", min_terms=3, max_terms=4, min_digits=1, max_digits=2),
    "leg_counting": _reckoned("leg_counting", min_animals=2, max_animals=3, max_instances=9),
    "gcd": _reckoned("gcd", max_value=60),
    "lcm": _reckoned("lcm", max_value=20),
    "simple_equations": _reckoned("simple_equations", min_terms=2, max_terms=3, max_value=20),
    "products": _reckoned("products", min_digits=1, max_digits=2),
    "simple_geometry": _reckoned("simple_geometry", min_sides=3, max_sides=4),
    "aiw": _reckoned("aiw", task_type_weights=[0.5, 0.5, 0.0]),
    "letter_counting": _reckoned("letter_counting", min_words=3, max_words=5),
    "number_sequence": _reckoned("number_sequence", max_complexity=2),
    "fraction_simplification": Family(
        "fraction_simplification",
        _number_or_fraction,
        settings={"min_value": 1, "max_value": 20, "min_factor": 2, "max_factor": 9, "styles": ["plain"]},
    ),
    "family_relationships": Family("family_relationships", _relation, "qa", {"max_family_size": 6}),
    "color_cube_rotation": Family("color_cube_rotation", _side_colour, "qa", {"min_rotations": 1, "max_rotations": 1}),
    "calendar_weekday": Family(
        "calendar_arithmetic", _weekday, "qa", {"tasks": ["weekday_offset"], "offset_upper_bound": 20}
    ),
    "syllogism": Family("syllogism", _yes_or_no, "qa"),
}

if __name__ == "__main__":
    write_groups(sys.argv[2], load(sys.argv[1]))
