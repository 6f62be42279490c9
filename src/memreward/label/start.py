"""From a memory to a labelling: which questions come first, and how the rest follow while people already answer."""

import threading
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from memreward.answers import AnswerModel, RewardPrior
from memreward.features.featurizer import Featurizer
from memreward.label.door import Door
from memreward.label.outlook import Pool, reading_order
from memreward.label.queue import Ask
from memreward.label.session import Labelling
from memreward.memory import ExperienceMemory
from memreward.memory.labelling import FILE, Journal
from memreward.types import LabelError

AT_ONCE = 64
"""Questions whose evidence is computed before the first one is asked; the others follow meanwhile."""
MOST = 4_000
"""Questions that a labelling looks at, at most: a sample as large as nobody labels."""
_STEP = 250


def begin(
    memory: ExperienceMemory,
    *,
    prior: RewardPrior | str | Path = "default",
    featurizer: Featurizer | None = None,
    ask: Ask = "auto",
    questions: int | None = None,
    journal: Journal | None = None,
    at_once: int | None = None,
    background: bool = False,
) -> Labelling:
    """Open a labelling of a memory, or take it up again; LabelError where memory holds no rollouts.

    Args:
        ask: "one" asks whether one answer is right, "whole" shows all answers of a question, "auto" takes what is
            expected to change more in a minute.
        prior: Where learning begins; sources that share a question with memory are left out.
        questions: Most questions that may have a label, whoever gave it; None does not limit.
        at_once: Questions to begin with; the others follow in a thread. None reads all of them first.
    """
    made, known = featurizer or Featurizer(), memory.query_ids(answered=True)
    folder = Path(memory.uri)
    kept = journal or Journal(folder / FILE if folder.is_dir() else None)
    order = reading_order(known, [*kept.proposed(), *memory.ledger.labelled()])[:MOST]
    first = order if at_once is None else order[:at_once]
    pool = Pool.read(memory, made, first)
    if not pool.groups:
        raise LabelError(f"{memory.uri} holds no rollouts: add some, labelled or not (memreward warmup --labels 0)")
    loaded = prior if isinstance(prior, RewardPrior) else RewardPrior.load(prior)
    model = AnswerModel(loaded.without(group.query for group in memory.groups(order, recent=0)))
    door = Door(memory, questions)
    read = partial(Pool.read, memory, made)
    labelling = Labelling(pool, model, door, kept, ask=ask, read=read, background=background)
    if len(order) > len(first):
        threading.Thread(target=_follow, args=(labelling, order[len(first) :]), daemon=True).start()
    return labelling


def _follow(labelling: Labelling, rest: Sequence[str]) -> None:
    for part in (rest[i : i + _STEP] for i in range(0, len(rest), _STEP)):
        labelling.extend(part)
