"""The questions that a session may ask about: their rollouts, and the features from which beliefs are made."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from memreward.features.featurizer import Featurizer
from memreward.features.subset import joined
from memreward.memory import ExperienceMemory
from memreward.types import Features, Group, Rollout, content_hash

RECENT = 32
"""Rollouts of a question, at most."""


@dataclass(frozen=True)
class Pool:
    """Questions with their rollouts."""

    groups: Mapping[str, Group]
    features: Features

    @classmethod
    def read(cls, memory: ExperienceMemory, featurizer: Featurizer, query_ids: Sequence[str]) -> Pool:
        """Read questions from memory; those without rollouts are left out."""
        groups = [group for group in memory.groups(query_ids, recent=RECENT) if group.rollouts]
        rollouts = [rollout for group in groups for rollout in group.rollouts]
        return cls({group.query.id: group for group in groups}, featurizer.features(rollouts))

    def joined(self, other: Pool) -> Pool:
        """Return both pools' questions; `other` holds none of this one's."""
        return Pool({**self.groups, **other.groups}, joined([self.features, other.features]))

    def rollout(self, row: int) -> Rollout:
        group = self.groups[self.features.query_ids[self.features.group[row]]]
        wanted = self.features.rollout_ids[row]
        return next(rollout for rollout in group.rollouts if rollout.id == wanted)


def reading_order(query_ids: Sequence[str], first: Sequence[str]) -> list[str]:
    """Return all ids: `first` ones, then the others in an order that has nothing to do with how they were added."""
    known = set(query_ids)
    ahead = [query_id for query_id in dict.fromkeys(first) if query_id in known]
    return [*ahead, *sorted(known.difference(ahead), key=content_hash)]
