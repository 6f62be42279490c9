"""What a page, a file or a judge model shows of a task: the question's text, its answers, one solution of each."""

from collections.abc import Mapping
from dataclasses import dataclass

from memreward.domains import rules_of
from memreward.domains.choice.parse import options
from memreward.label.queue import AnswerSeen, Task
from memreward.label.session import Labelling
from memreward.types import Domain, Rollout


@dataclass(frozen=True)
class AnswerShown:
    """One distinct answer.

    Attributes:
        key: Names it for good: the id of its first rollout. Numbers are those of one session.
        text: As one of its rollouts wrote it; of an option, with what the option says.
        solution: The completion of median length among those that were not cut off.
    """

    answer: int
    key: str
    text: str
    solution: str


@dataclass(frozen=True)
class Shown:
    """A task with its texts; the question's is without the options where these are a list of their own."""

    task: Task
    domain: Domain
    question: str
    options: Mapping[str, str]
    answers: tuple[AnswerShown, ...]

    @property
    def asked(self) -> AnswerShown | None:
        return next((each for each in self.answers if each.answer == self.task.asked), None)


def shown(labelling: Labelling, task: Task) -> Shown:
    """Return the texts of a task; how often an answer was given, and what is believed of it, stays hidden."""
    query = labelling.pool.groups[task.query_id].query
    listed = options(query.text) if rules_of(query.domain).lettered else {}
    answers = tuple(
        AnswerShown(
            answer,
            labelling.key(answer),
            answer_text(rollouts_of(labelling, answer)[0], listed),
            typical(rollouts_of(labelling, answer)).text,
        )
        for answer in task.answers
    )
    return Shown(task, query.domain, stem(query.text, listed), listed, answers)


def rollouts_of(labelling: Labelling, answer: int) -> list[Rollout]:
    return [labelling.pool.rollout(int(row)) for row in labelling.outlook.rows(answer)]


def typical(rollouts: list[Rollout]) -> Rollout:
    """Return the rollout of median length, of those that were not cut off if there are any."""
    whole = [rollout for rollout in rollouts if not rollout.truncated] or rollouts
    return sorted(whole, key=lambda rollout: (len(rollout.text), rollout.id))[(len(whole) - 1) // 2]


def answer_text(rollout: Rollout, listed: Mapping[str, str]) -> str:
    text = rollout.answer or ""
    option = listed.get(text.strip().strip("()").upper(), "")
    return f"{text}: {option}" if option and option != text else text


def stem(text: str, listed: Mapping[str, str]) -> str:
    """Return a question without its options, where each stands in it once, one after the other, at its end."""
    places = [text.rfind(option) for option in listed.values()]
    if len(places) < 2 or -1 in places or places != sorted(places):
        return text
    end = places[-1] + len(list(listed.values())[-1])
    first = next(iter(listed))
    start = text.rfind("\n", 0, places[0])
    head = text[start + 1 : places[0]]
    # Only where nothing but the options' letters would be lost.
    if start < 0 or len(head.strip()) > len(first) + 3:
        return text
    return f"{text[:start].rstrip()}\n{text[end:].strip()}".strip()


def outcome(labelling: Labelling, query_id: str, seen: list[AnswerSeen]) -> list[tuple[str, AnswerSeen]]:
    query = labelling.pool.groups[query_id].query
    listed = options(query.text) if rules_of(query.domain).lettered else {}
    return [
        (answer_text(rollouts_of(labelling, each.answer)[0], listed) or "(no answer)", each)
        for each in sorted(seen, key=lambda each: -each.votes)
    ]
