"""What a policy says, several sampled answers a question, and how much of it is right."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from lab.decoding.decoder import GroupDecoder
from memreward.domains import parse_rollout
from memreward.memory import measured
from memreward.policy.sampler import Chat, Sample
from memreward.policy.settings import SamplingConfig
from memreward.types import Group

_GROUPS_PER_BATCH = 48


def sample_groups(model: Any, tokenizer: Any, groups: Sequence[Group], sampling: SamplingConfig) -> list[Group]:
    """Return the questions with rollouts of the policy, in their order; the model is left as it was.

    Args:
        model: A causal language model.
        tokenizer: Its tokenizer.
        groups: Questions; rollouts they have are left out.
        sampling: How to sample. What is sampled for a question depends on `sampling` and on its id alone.
    """
    training = model.training
    sampler = GroupDecoder(sampling, groups_per_batch=_GROUPS_PER_BATCH, model=model, tokenizer=tokenizer)
    try:
        chats = [
            Chat(group.query.id, group.query.dataset, [{"role": "user", "content": group.query.text}])
            for group in groups
        ]
        sampled = {done.id: done.samples for done in sampler.sample(sampler.prompts(chats))}
    finally:
        model.train(training)
    return groups_of_samples(groups, sampled)


def groups_of_samples(groups: Sequence[Group], sampled: Mapping[str, Sequence[Sample]]) -> list[Group]:
    """Return the questions with what was sampled for them, by query id, as rollouts."""
    return [
        replace(
            group,
            rollouts=tuple(
                parse_rollout(
                    group.query,
                    sample.text,
                    id=f"{group.query.id}/{index}",
                    token_logprobs=sample.token_logprobs,
                    truncated=sample.truncated,
                )
                for index, sample in enumerate(sampled[group.query.id])
            ),
        )
        for group in groups
    ]


def accuracy(groups: Sequence[Group]) -> dict[str, float]:
    """Return the share of right rollouts by query id; one that cannot be told is not right."""
    right = {identity for identity, correct in measured(groups).items() if correct}
    return {g.query.id: sum(r.id in right for r in g.rollouts) / len(g.rollouts) for g in groups}


def mean_by_domain(by_query: Mapping[str, float], domains: Mapping[str, str]) -> dict[str, float]:
    """Return the mean over the queries of each domain."""
    members: dict[str, list[float]] = {}
    for query_id, share in by_query.items():
        members.setdefault(domains[query_id], []).append(share)
    return {domain: sum(shares) / len(shares) for domain, shares in sorted(members.items())}
