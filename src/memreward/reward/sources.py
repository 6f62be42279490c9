"""Files of labelled rollouts, and memories with labels, as sources of a prior."""

from collections.abc import Iterable, Sequence

import numpy as np

from memreward.answers.prior import SourceCard, SourceFactor
from memreward.features.featurizer import Featurizer
from memreward.features.subset import subset
from memreward.memory import FROM_FILE, LabelLedger, label
from memreward.reward.predictor import label_array
from memreward.types import DOMAINS, Group, Label

USE = "prior"
"""The ledger's name for labels that a prior learns from."""

FEWEST = 10
"""Judged questions of a domain that a source needs to say anything."""


def sources_of(name: str, groups: Iterable[Group], featurizer: Featurizer) -> list[SourceFactor]:
    """Return one source for each domain of a labelled file with at least `FEWEST` questions, labels for use `USE`."""
    kept = [group for group in groups if group.rollouts]
    ledger = LabelLedger.detached(kept)
    released = label(ledger, ledger.choose(None, 0), FROM_FILE, use=USE, settle=False).labels
    return judged_sources(name, kept, released, featurizer)


def judged_sources(
    name: str, groups: Sequence[Group], labels: Iterable[Label], featurizer: Featurizer
) -> list[SourceFactor]:
    """Return one source for each domain of groups whose labels were released already."""
    released = list(labels)
    judged = {label.rollout_id for label in released}
    known = [group for group in groups if any(r.id in judged for r in group.rollouts)]
    if not known:
        return []
    rollouts = [rollout for group in known for rollout in group.rollouts]
    features, told = featurizer.features(rollouts), label_array(rollouts, released)
    found = []
    for domain in np.unique(features.domain).tolist():
        own = [group for group in known if group.query.domain == DOMAINS[domain]]
        if len(own) >= FEWEST:
            rows = features.domain[features.group] == domain
            card = SourceCard(name, policy=_word(own, "model"), licence=_word(own, "license"))
            queries = [group.query for group in own]
            found.append(SourceFactor.of(card, subset(features, rows), told[rows], queries))
    return found


def _word(groups: Sequence[Group], key: str) -> str:
    """What the lines, or their rollouts, say under a key; "several" where they differ."""
    said = {str(g.provenance[key]) for g in groups if g.provenance.get(key)}
    said |= {str(p[key]) for g in groups for p in g.rollout_provenance if p.get(key)}
    return said.pop() if len(said) == 1 else "several" if said else ""
