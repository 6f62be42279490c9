"""Everything that depends on the kind of question: from completion to answer, equivalence of answers, verification.

Names are loaded at first use: the processes that judge need little of this, and start in a fraction of the time.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

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
    "DomainRules": "rules",
    "JudgeVerifier": "verifiers",
    "VerdictCache": "shared.cache",
    "Verifiers": "verifiers",
    "VerifyConfig": "config",
    "cluster_answers": "registry",
    "equivalent": "registry",
    "parse_completion": "completion",
    "parse_rollout": "completion",
    "register": "registry",
    "rules_of": "registry",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
    globals()[name] = value
    return value
