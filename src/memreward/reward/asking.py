"""Which questions a training would have people label next; the page of `memreward label` asks these first.

A question that the policy is asked is proposed where predictions are not to be trusted: because on labelled ones
predicted and true reward have parted, or votes know nothing (the monitor), or because no labelled question is like it.
Of all that are proposed those wait whose advantages are most uncertain.
"""

from collections.abc import Callable, Collection
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from memreward.answers.beliefs import AnswerBeliefs
from memreward.answers.choose import variances
from memreward.features.outline import template_vectors
from memreward.memory import ExperienceMemory
from memreward.memory.labelling import FILE, Journal, Proposed
from memreward.types import ConfigurationError, Features, FloatArray

WAITING = 10
"""Questions that wait at a time, at most."""
ALIKE = 0.7
"""Cosine of two questions' templates from which on a label of one may say something of the other: below it, less than
a sixteenth of what it says of a question of the same template (memreward.answers.likeness)."""
PARTED = "predicted and true reward have parted"
UNLIKE = "no labelled question is like it"
_LEAST = 1e-6


class Asking:
    """The questions of one training that wait for a person; `on_wait` is called once, when the first one does.

    Raises ConfigurationError where memory is not in a folder.
    """

    def __init__(self, memory: ExperienceMemory, on_wait: Callable[[], None] | None = None) -> None:
        if not Path(memory.uri).is_dir():
            raise ConfigurationError("people can label only what lies in a folder: use ExperienceMemory.open(FOLDER)")
        self._memory, self._on_wait = memory, on_wait
        self._journal = Journal(Path(memory.uri) / FILE)
        self.waiting: dict[str, Proposed] = self._journal.proposed()
        self._templates: dict[str, FloatArray] = {}

    def consider(
        self,
        features: Features,
        beliefs: AnswerBeliefs,
        labelled: Collection[str],
        broken: Collection[str] = (),
        *,
        parted: bool,
    ) -> None:
        """Propose the questions of a step; one that waits already is seen anew, one that has a label waits no more.

        Nothing is proposed of which nothing is believed, nor what people flagged as `broken`.
        """
        names = features.query_ids
        uncertain = np.nan_to_num(variances(beliefs, len(names)))
        known = np.ones(len(names), np.bool_) if parted else self._known(features, labelled)
        now = {
            name: Proposed(float(gain), PARTED if parted else UNLIKE)
            for name, gain, like in zip(names, uncertain, known, strict=True)
            if gain > _LEAST and (parted or not like)
        }
        before = {name: one for name, one in self.waiting.items() if name not in names}
        open_ = [(name, one) for name, one in {**before, **now}.items() if name not in labelled and name not in broken]
        kept = dict(sorted(open_, key=lambda item: (-item[1].gain, item[0]))[:WAITING])
        if kept.keys() != self.waiting.keys():
            self._journal.propose(kept)
        self.waiting = kept
        if kept and (on_wait := self._on_wait) is not None:
            self._on_wait = None
            on_wait()

    def _known(self, features: Features, labelled: Collection[str]) -> NDArray[np.bool_]:
        """(q,) whether a labelled question is like each of these."""
        if features.template_vectors is None:
            return np.ones(len(features.query_ids), np.bool_)
        new = [name for name in labelled if name not in self._templates]
        queries = [group.query for group in self._memory.groups(new, recent=0)] if new else []
        vectors = template_vectors([query.text for query in queries])
        self._templates |= {query.id: vector for query, vector in zip(queries, vectors, strict=True)}
        like = [vector for name, vector in self._templates.items() if name in labelled]
        if not like:
            return np.zeros(len(features.query_ids), np.bool_)
        return np.asarray((features.template_vectors @ np.stack(like).T).max(axis=1) >= ALIKE)
