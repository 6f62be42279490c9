"""What a policy gets right: several sampled answers a question, judged by the verifiers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from memreward.parsing import parse_rollout
from memreward.policy.local import LocalSampler
from memreward.policy.sampler import Chat
from memreward.policy.settings import LocalConfig, SamplingConfig
from memreward.types import Claim, Group, Rollout, Truth
from memreward.verify import Verifiers

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
    sampler = LocalSampler(sampling, LocalConfig(_GROUPS_PER_BATCH), model=model, tokenizer=tokenizer)
    try:
        chats = [
            Chat(group.query.id, group.query.dataset, [{"role": "user", "content": group.query.text}])
            for group in groups
        ]
        sampled = {done.id: done.samples for done in sampler.sample(sampler.prompts(chats))}
    finally:
        model.train(training)
    return [
        replace(group, rollouts=tuple(_rollout(group, i, s) for i, s in enumerate(sampled[group.query.id])))
        for group in groups
    ]


def judge_groups(groups: Sequence[Group], verifiers: Verifiers) -> list[Group]:
    """Return the groups with a verdict on every rollout, None where it cannot be told.

    The ledger does not count these: they are for measuring, or sealed again at once.
    """
    references = [(group.truth.reference or "", rollout) for group in groups for rollout in group.rollouts]
    verdicts = iter(verifiers.verify([Claim(rollout, reference) for reference, rollout in references]))
    return [
        replace(group, truth=Truth(group.truth.reference, tuple(next(verdicts).correct for _ in group.rollouts)))
        for group in groups
    ]


def accuracy(groups: Sequence[Group]) -> dict[str, float]:
    """Return the share of right rollouts by query id; one that cannot be told is not right."""
    return {group.query.id: sum(c is True for c in group.truth.correct) / len(group.rollouts) for group in groups}


def mean_by_domain(by_query: Mapping[str, float], domains: Mapping[str, str]) -> dict[str, float]:
    """Return the mean over the queries of each domain."""
    members: dict[str, list[float]] = {}
    for query_id, share in by_query.items():
        members.setdefault(domains[query_id], []).append(share)
    return {domain: sum(shares) / len(shares) for domain, shares in sorted(members.items())}


def _rollout(group: Group, index: int, sample: Any) -> Rollout:
    parsed = parse_rollout(group.query, sample.text, id=f"{group.query.id}/{index}")
    return replace(parsed, token_logprobs=sample.token_logprobs, truncated=sample.truncated)
