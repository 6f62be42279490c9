"""Measure the starting point of the experiments: what its policy gets right, and what majority vote makes of it.

    python -m lab.look_at_testbed examples/testbed

prints the table of examples/testbed/README.md: for the shipped rollouts, and for eight sampled anew on each held-out
and each foreign question.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from lab.testbed.config import LONGEST
from lab.testbed.measure import sample_groups
from lab.testbed.policy import load_policy
from lab.testbed.start import EXPERIENCE, FOREIGN, TEST, Start
from memreward.domains import Verifiers, cluster_answers
from memreward.evaluation.metrics import roc_auc
from memreward.memory import measured, sealed_verdicts
from memreward.policy.settings import SamplingConfig
from memreward.types import Group

ROLLOUTS = 8
DOMAINS = ("math", "qa", "code")


def main() -> None:
    if len(sys.argv) != 2:
        raise SystemExit(__doc__)
    start, verifiers = Start(Path(sys.argv[1])), Verifiers()
    model, tokenizer = load_policy(start.policy)
    sampling = SamplingConfig("", ROLLOUTS, 1.0, 1.0, LONGEST, 0)
    print("| part | questions | pass rate at temperature 1 | math / qa / code | majority vote's AUC | wrong majority |")
    print("|---|---|---|---|---|---|")
    for part in (EXPERIENCE, TEST, FOREIGN):
        groups = start.groups(part)
        if part != EXPERIENCE:
            groups = sealed_verdicts(sample_groups(model, tokenizer, groups, sampling), verifiers)
        print(row(part, groups))


def row(part: str, groups: Sequence[Group]) -> str:
    """One part of the starting point as a row of the table."""
    right = measured(groups)
    correct = [[right.get(rollout.id, False) for rollout in group.rollouts] for group in groups]
    share, wrong = zip(*map(vote, groups, correct), strict=True)
    by_domain = [
        np.mean([c for group, c in zip(groups, correct, strict=True) if group.query.domain == domain])
        for domain in DOMAINS
    ]
    auc = roc_auc(np.concatenate(share), np.concatenate(correct).astype(np.int8))
    rates = " / ".join(f"{rate:.2f}" for rate in by_domain)
    return f"| {part} | {len(groups)} | {np.mean(correct):.2f} | {rates} | {auc:.2f} | {np.mean(wrong):.2f} |"


def vote(group: Group, correct: Sequence[bool]) -> tuple[list[float], bool]:
    """The share of the group that each rollout agrees with, and whether the largest share's answer is wrong."""
    query = group.query
    members = cluster_answers([rollout.answer for rollout in group.rollouts], query.domain, query_text=query.text)
    sizes = [members.count(member) if member >= 0 else 0 for member in members]
    return [size / len(members) for size in sizes], not correct[int(np.argmax(sizes))]


if __name__ == "__main__":
    main()
