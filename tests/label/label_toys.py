"""Small memories with answers that are known, for the tests of labelling."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from memreward.answers import AnswerModel, RewardPrior
from memreward.domains import parse_rollout
from memreward.features.featurizer import Featurizer
from memreward.label.door import Door
from memreward.label.outlook import Pool
from memreward.label.queue import TWICE, Ask
from memreward.label.session import Labelling
from memreward.memory import ExperienceMemory
from memreward.memory.labelling import Journal
from memreward.types import Group, Query, Truth

WORDS = ("apples", "pears", "plums", "nuts", "stones", "coins", "books", "cards", "shells", "boats", "lamps", "maps")


def group(name: str, text: str, answers: Sequence[str], reference: str | None = None, domain: str = "math") -> Group:
    """One question whose rollouts give these answers."""
    query = Query(name, text, domain)  # type: ignore[arg-type]
    rollouts = tuple(
        parse_rollout(query, f"I think about {text} and find it in {i} steps.\n#### {answer}", id=f"{name}/{i}")
        for i, answer in enumerate(answers)
    )
    return Group(query, rollouts, Truth(reference))


def groups(count: int = 12) -> list[Group]:
    """Questions of mathematics in which 4, 3 or 2 of 6 rollouts give the right answer, 2 n."""
    made = []
    for n in range(count):
        right, votes = 2 * n + 2, 2 + n % 3
        answers = [f"{right}"] * votes + [f"{right + 1}"] * (4 - votes) + [f"{right + 7}", f"{right + 30}"]
        thing = WORDS[n % len(WORDS)]
        text = f"{thing.title()}: Who owns {n + 1} {thing} and gets as many {thing} again, how many {thing} is that?"
        made.append(group(f"q{n}", text, answers, str(right)))
    return made


def labelling(
    given: Sequence[Group],
    *,
    memory: ExperienceMemory | None = None,
    journal: Journal | None = None,
    questions: int | None = None,
    clock: Callable[[], float] | None = None,
    background: bool = False,
    twice: float = TWICE,
    ask: Ask = "auto",
) -> Labelling:
    """A labelling of a memory that holds these groups."""
    store = ExperienceMemory.in_memory() if memory is None else memory
    store.add(given)
    kept = journal or (Journal(None, clock) if clock else Journal(None))
    pool = Pool.read(store, Featurizer(), store.query_ids())
    model = AnswerModel(RewardPrior.load("default"))
    session = Labelling(pool, model, Door(store, questions), kept, ask=ask, background=background)
    session.twice = twice
    return session


def answer_of(session: Labelling, query_id: str, text: str) -> int:
    """Number of the answer that reads so."""
    for answer in session.answers(query_id):
        row = int(session.outlook.rows(answer)[0])
        if session.pool.rollout(row).answer == text:
            return answer
    raise AssertionError(f"{query_id} has no answer {text}")


def truth(query_id: str) -> str:
    """The right answer of a question of `groups`."""
    return str(2 * int(query_id[1:]) + 2)


def answer(session: Labelling, annotator: str, task: object, seconds: float = 5.0) -> None:
    """Answer a task truthfully."""
    right = answer_of(session, task.query_id, truth(task.query_id))  # type: ignore[attr-defined]
    asked = task.asked  # type: ignore[attr-defined]
    given = [right] if asked in (-1, right) else []
    session.decide(annotator, task.query_id, given, asked=asked, seconds=seconds)  # type: ignore[attr-defined]
