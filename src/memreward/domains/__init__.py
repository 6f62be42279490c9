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
    "DomainRules": "domains.rules",
    "JudgeVerifier": "domains.verifiers",
    "VerdictCache": "domains.shared.cache",
    "Verifiers": "domains.verifiers",
    "VerifyConfig": "domains.config",
    "cluster_answers": "domains.registry",
    "equivalent": "domains.registry",
    "parse_completion": "domains.completion",
    "parse_rollout": "domains.completion",
    "register": "domains.registry",
    "rules_of": "domains.registry",
}

__getattr__ = lazily(__name__, _HOMES)
