"""Everything that depends on the kind of question: from completion to answer, equivalence of answers, verification.

Names are loaded at first use: the processes that judge need little of this, and start in a fraction of the time.
"""

from typing import TYPE_CHECKING

from memreward.lazy import lazily

if TYPE_CHECKING:
    from memreward.domains.completion import parse_completion, parse_rollout
    from memreward.domains.config import VerifyConfig
    from memreward.domains.registry import cluster_answers, equivalent, register, rules_of
    from memreward.domains.rules import DomainRules
    from memreward.domains.shared.cache import VerdictCache
    from memreward.domains.verifiers import JudgeVerifier, Verifiers

__all__ = [
    "DomainRules",
    "JudgeVerifier",
    "VerdictCache",
    "Verifiers",
    "VerifyConfig",
    "cluster_answers",
    "equivalent",
    "parse_completion",
    "parse_rollout",
    "register",
    "rules_of",
]

_HOMES = {
    "config": "VerifyConfig",
    "completion": "parse_completion parse_rollout",
    "registry": "cluster_answers equivalent register rules_of",
    "rules": "DomainRules",
    "shared.cache": "VerdictCache",
    "verifiers": "JudgeVerifier Verifiers",
}

__getattr__ = lazily(__name__, {name: f"domains.{home}" for home, names in _HOMES.items() for name in names.split()})
