"""What a collection has acknowledged."""

from __future__ import annotations

from memreward.memory import ExperienceMemory
from memreward.memory.store import FILE
from memreward.policy.collect import CollectConfig, journal_of


def journalled(config: CollectConfig) -> dict[str, list[str]]:
    """The texts of what is durable, by question."""
    if not (journal_of(config) / FILE).exists():
        return {}
    groups = ExperienceMemory.open(journal_of(config)).groups()
    return {group.query.id: [rollout.text for rollout in group.rollouts] for group in groups}
