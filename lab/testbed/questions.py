"""Questions of three domains that a tiny policy can answer, and demonstrations that teach it to err.

Each kind of question has a right rule and a wrong one that people know: adding before multiplying, dropping a carry,
adding where "less than" is asked, taking the option below the right one, losing brackets in code. A share of the
demonstrations follows the wrong rule, so that for some kinds the majority of the policy's answers is wrong, and a share
has a random slip, so that others are noisy.
"""

from __future__ import annotations

import json
import random
import re
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from memreward.types import ConfigurationError, Domain, Group, Query, Truth

SLIPS = 0.4
"""Share of demonstrations with one character of the working or the answer changed at random."""

_LETTERS = "ABCD"
_NAMES = "abcdkmnpqxyz"
_TRIES = 10_000


class Exercise(NamedTuple):
    """One question: its text, reference, the right completion and the one that follows the wrong rule."""

    text: str
    reference: str
    right: str
    wrong: str


@dataclass(frozen=True)
class Kind:
    """Questions that are alike but for their numbers and names.

    Attributes:
        name: Of the kind.
        domain: Its domain.
        wrong_share: Share of the demonstrations that follow the wrong rule.
        make: Draws one.
        foreign: Whether it is demonstrated but neither trained on nor tested in its domain: an out-of-domain kind.
    """

    name: str
    domain: Domain
    wrong_share: float
    make: Callable[[random.Random], Exercise]
    foreign: bool = False


def _worked(question: str, right: Sequence[str], wrong: Sequence[str], reference: object, mistaken: object) -> Exercise:
    """A question of arithmetic; the lines are the working."""
    return Exercise(
        question, str(reference), "\n".join([*right, f"#### {reference}"]), "\n".join([*wrong, f"#### {mistaken}"])
    )


def _without_carry(a: int, b: int) -> int:
    return a + b - 10 if a % 10 + b % 10 >= 10 else a + b


def _sum(rng: random.Random) -> Exercise:
    a, b, c = rng.randint(12, 49), rng.randint(12, 49), rng.randint(2, 9)
    first, mistaken = a + b, _without_carry(a, b)
    return _worked(
        f"What is {a}+{b}-{c}?",
        [f"{a}+{b}={first}", f"{first}-{c}={first - c}"],
        [f"{a}+{b}={mistaken}", f"{mistaken}-{c}={mistaken - c}"],
        first - c,
        mistaken - c,
    )


def _precedence(rng: random.Random) -> Exercise:
    a, b, c = rng.randint(2, 9), rng.randint(2, 9), rng.randint(2, 9)
    return _worked(
        f"What is {a}+{b}*{c}?",
        [f"{b}*{c}={b * c}", f"{a}+{b * c}={a + b * c}"],
        [f"{a}+{b}={a + b}", f"{a + b}*{c}={(a + b) * c}"],
        a + b * c,
        (a + b) * c,
    )


def _brackets(rng: random.Random) -> Exercise:
    a, b, c = rng.randint(2, 9), rng.randint(2, 9), rng.randint(2, 9)
    return _worked(
        f"What is ({a}+{b})*{c}?",
        [f"{a}+{b}={a + b}", f"{a + b}*{c}={(a + b) * c}"],
        [f"{b}*{c}={b * c}", f"{a}+{b * c}={a + b * c}"],
        (a + b) * c,
        a + b * c,
    )


def _product(rng: random.Random) -> Exercise:
    a, b, c = rng.randint(2, 9), rng.randint(2, 9), rng.randint(11, 39)
    return _worked(
        f"What is {a}*{b}+{c}?",
        [f"{a}*{b}={a * b}", f"{a * b}+{c}={a * b + c}"],
        [f"{a}*{b}={a * b}", f"{a * b}+{c}={_without_carry(a * b, c)}"],
        a * b + c,
        _without_carry(a * b, c),
    )


def _precedence_of_minus(rng: random.Random) -> Exercise:
    a, b, c = rng.randint(82, 99), rng.randint(2, 9), rng.randint(2, 9)
    return _worked(
        f"What is {a}-{b}*{c}?",
        [f"{b}*{c}={b * c}", f"{a}-{b * c}={a - b * c}"],
        [f"{a}-{b}={a - b}", f"{a - b}*{c}={(a - b) * c}"],
        a - b * c,
        (a - b) * c,
    )


def _choice(
    rng: random.Random, question: str, right: tuple[str, int], wrong: tuple[str, int], others: Sequence[int]
) -> Exercise:
    """A question with four options. The answer is an option's text: so small a network looks up no letters."""
    values = list(dict.fromkeys([right[1], wrong[1], *others]))
    step = 1
    while len(values) < len(_LETTERS):
        if right[1] + step not in values:
            values.append(right[1] + step)
        step += 1
    values = values[: len(_LETTERS)]
    rng.shuffle(values)
    asked = "\n".join([question, *(f"({letter}) {value}" for letter, value in zip(_LETTERS, values, strict=True))])
    answer = _LETTERS[values.index(right[1])]
    return Exercise(asked, answer, f"{right[0]}={right[1]}\n#### {right[1]}", f"{wrong[0]}={wrong[1]}\n#### {wrong[1]}")


def _less(rng: random.Random) -> Exercise:
    a, b = rng.randint(21, 79), rng.randint(3, 9)
    return _choice(
        rng, f"Which number is {b} less than {a}?", (f"{a}-{b}", a - b), (f"{a}+{b}", a + b), [a - b + 10, a + b - 10]
    )


def _more(rng: random.Random) -> Exercise:
    a, b = rng.randint(21, 79), rng.randint(3, 9)
    right = a + b
    slip = _without_carry(a, b) if _without_carry(a, b) != right else right + 10
    return _choice(
        rng, f"Which number is {b} more than {a}?", (f"{a}+{b}", right), (f"{a}+{b}", slip), [a - b, right + 1]
    )


def _digit_sum(rng: random.Random) -> Exercise:
    a, b = rng.randint(2, 9), rng.randint(3, 9)
    return _choice(
        rng, f"What is the digit sum of {a}{b}?", (f"{a}+{b}", a + b), (f"{a}*{b}", a * b), [a + b + 9, abs(a - b) + 1]
    )


def _twice(rng: random.Random) -> Exercise:
    a = rng.randint(12, 49)
    exercise = _choice(rng, f"Which number is twice {a}?", (f"{a}+{a}", 2 * a), (f"{a}+2", a + 2), [a, 2 * a + 2])
    # The wrong rule here is a misread option: the value is right, the option taken is the one that looks like it.
    return exercise._replace(wrong=f"{a}+{a}={2 * a}\n#### {2 * a + 2}")


def _fewer(rng: random.Random) -> Exercise:
    a, b = rng.randint(2, 9), rng.randint(21, 79)
    return _choice(
        rng,
        f"{a} fewer than {b} is which number?",
        (f"{b}-{a}", b - a),
        (f"{b}+{a}", b + a),
        [b - a + 10, b + a - 10],
    )


_ARGUMENTS = ((7, 3), (2, 11), (5, 5), (1, 4))


def _function(
    rng: random.Random, asked: str, right: str, wrong: str, value: Callable[[int, int, int], int]
) -> Exercise:
    """A Python function of A and B with the constant K; `value` says what it should return."""
    first, second = rng.sample(_NAMES, 2)
    k = rng.randint(2, 9)

    def filled(template: str) -> str:
        return template.replace("A", first).replace("B", second).replace("K", str(k))

    tests = [f"assert f({a}, {b}) == {value(a, b, k)}" for a, b in _ARGUMENTS]
    prompt = f'def f({first}, {second}):\n    """Return {filled(asked)}."""'
    return Exercise(prompt, json.dumps(tests), filled(right), filled(wrong))


def _times_sum(rng: random.Random) -> Exercise:
    return _function(
        rng,
        "K times the sum of A and B",
        "    s = A + B\n    return K * s",
        "    s = K * A\n    return s + B",
        lambda a, b, k: k * (a + b),
    )


def _less_than_product(rng: random.Random) -> Exercise:
    return _function(
        rng,
        "K less than the product of A and B",
        "    s = A * B\n    return s - K",
        "    s = A * B\n    return K - s",
        lambda a, b, k: a * b - k,
    )


def _larger(rng: random.Random) -> Exercise:
    return _function(
        rng,
        "the larger of A and B plus K",
        "    s = max(A, B)\n    return s + K",
        "    s = min(A, B)\n    return s + K",
        lambda a, b, k: max(a, b) + k,
    )


def _squares(rng: random.Random) -> Exercise:
    return _function(
        rng,
        "the sum of the squares of A and B plus K",
        "    s = A * A + B * B\n    return s + K",
        "    s = A * A + B\n    return s + K",
        lambda a, b, k: a * a + b * b + k,
    )


def _times_difference(rng: random.Random) -> Exercise:
    return _function(
        rng,
        "K times the difference of A and B",
        "    s = A - B\n    return K * s",
        "    s = K * A\n    return s - B",
        lambda a, b, k: k * (a - b),
    )


KINDS = (
    Kind("sum", "math", 0.2, _sum),
    Kind("precedence", "math", 0.62, _precedence),
    Kind("brackets", "math", 0.2, _brackets),
    Kind("product", "math", 0.2, _product),
    Kind("less", "qa", 0.62, _less),
    Kind("more", "qa", 0.3, _more),
    Kind("digit-sum", "qa", 0.3, _digit_sum),
    Kind("twice", "qa", 0.3, _twice),
    Kind("times-sum", "code", 0.62, _times_sum),
    Kind("less-than-product", "code", 0.25, _less_than_product),
    Kind("larger", "code", 0.2, _larger),
    Kind("squares", "code", 0.25, _squares),
    Kind("precedence-of-minus", "math", 0.4, _precedence_of_minus, foreign=True),
    Kind("fewer", "qa", 0.4, _fewer, foreign=True),
    Kind("times-difference", "code", 0.4, _times_difference, foreign=True),
)
"""The shares were tuned once, before arms were compared: benchmarks/results/training.md."""


@dataclass(frozen=True)
class TestbedSplit:
    """Questions for training, held-out ones of the same kinds, and ones of other kinds.

    Nothing that is asked in one part is asked in another, be it with the options in another order.
    """

    train: tuple[Group, ...]
    test: tuple[Group, ...]
    foreign: tuple[Group, ...]

    @property
    def texts(self) -> frozenset[str]:
        """All question texts; demonstrations avoid them."""
        return frozenset(group.query.text for part in (self.train, self.test, self.foreign) for group in part)


def draw_split(seed: int, *, train: int, test: int, foreign: int) -> TestbedSplit:
    """Draw disjoint questions, each part spread evenly over its kinds.

    Args:
        seed: Of the draw.
        train: Questions to train on.
        test: Held-out questions of the same kinds.
        foreign: Questions of the foreign kinds.

    Raises:
        ConfigurationError: a kind has not so many questions.
    """
    native, others = ([kind for kind in KINDS if kind.foreign is foreign_kind] for foreign_kind in (False, True))
    to_train = tuple(_questions(native, train, f"{seed} train", frozenset()))
    seen = frozenset(asked(group.query.text) for group in to_train)
    return TestbedSplit(
        to_train,
        tuple(_questions(native, test, f"{seed} test", seen)),
        tuple(_questions(others, foreign, f"{seed} foreign", frozenset())),
    )


def asked(text: str) -> str:
    """Return a question without its options."""
    return text.split("\n(", 1)[0]


def _questions(kinds: Sequence[Kind], size: int, seed: str, seen: frozenset[str]) -> Iterator[Group]:
    """Draw questions whose texts differ; none asks what is in `seen`."""
    rng, used = random.Random(seed), set[str]()
    for index in range(size):
        kind = kinds[index % len(kinds)]
        exercise = _draw(kind, rng, used, frozenset())
        if asked(exercise.text) in seen:
            # From a stream of its own, so that one question more or less to train on leaves the others as they are.
            exercise = _draw(kind, random.Random(f"{seed} {index}"), used, seen)
        used.add(exercise.text)
        identity = f"{kind.name}-{seed.replace(' ', '-')}-{index}"
        # One data set a domain: whoever draws labels does not know which kinds there are.
        query = Query(identity, exercise.text, kind.domain, f"testbed-{kind.domain}")
        yield Group(query, (), Truth(exercise.reference), {"kind": kind.name})


def _draw(kind: Kind, rng: random.Random, used: Collection[str], seen: Collection[str]) -> Exercise:
    for _ in range(_TRIES):
        exercise = kind.make(rng)
        if exercise.text not in used and asked(exercise.text) not in seen:
            return exercise
    raise ConfigurationError(f"questions of kind {kind.name!r} run out after {len(used)} of all kinds: ask for fewer")


def demonstrations(size: int, seed: int, avoid: frozenset[str]) -> Iterator[tuple[str, str]]:
    """Yield `size` pairs of question text and imperfect completion; no question of `avoid` is among them."""
    rng = random.Random(f"{seed} demonstrations")
    while size:
        kind = rng.choice(KINDS)
        exercise = kind.make(rng)
        completion = exercise.wrong if rng.random() < kind.wrong_share else exercise.right
        slipped = _slip(completion, rng) if rng.random() < SLIPS else completion
        if exercise.text not in avoid:
            size -= 1
            yield exercise.text, slipped


def _slip(completion: str, rng: random.Random) -> str:
    """Change a digit."""
    places = [match.start() for match in re.finditer(r"\d", completion)]
    if not places:
        return completion
    place = rng.choice(places)
    other = rng.choice([digit for digit in "0123456789" if digit != completion[place]])
    return completion[:place] + other + completion[place + 1 :]
