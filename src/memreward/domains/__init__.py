"""Everything that depends on the kind of question: from completion to answer, equivalence of answers, verification.

Names are loaded at first use: the processes that judge need little of this, and start in a fraction of the time.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from memreward.domains.choice.verify import ChoiceVerifier
    from memreward.domains.code.parse import code_normal_form, defines, entry_point, parse_tree, parses, syntax_tree
    from memreward.domains.code.verify import CodeVerifier
    from memreward.domains.completion import Completion, parse_completion, parse_rollout
    from memreward.domains.config import CodeConfig, MathConfig, VerifyConfig
    from memreward.domains.math.arithmetic import arithmetic_statements, numbers
    from memreward.domains.math.verify import MathVerifier
    from memreward.domains.registry import (
        answer_key,
        cluster_answers,
        equivalent,
        load_domain,
        register,
        rules_of,
        use_domains,
    )
    from memreward.domains.rules import DomainRules
    from memreward.domains.shared.answer_pattern import AnswerPattern
    from memreward.domains.shared.cache import VerdictCache
    from memreward.domains.text.domain import TextVerifier
    from memreward.domains.verifiers import JudgeVerifier, Verifiers, load_verifier, verifier_for

__all__ = [
    "AnswerPattern",
    "ChoiceVerifier",
    "CodeConfig",
    "CodeVerifier",
    "Completion",
    "DomainRules",
    "JudgeVerifier",
    "MathConfig",
    "MathVerifier",
    "TextVerifier",
    "VerdictCache",
    "Verifiers",
    "VerifyConfig",
    "answer_key",
    "arithmetic_statements",
    "cluster_answers",
    "code_normal_form",
    "defines",
    "entry_point",
    "equivalent",
    "load_domain",
    "load_verifier",
    "numbers",
    "parse_completion",
    "parse_rollout",
    "parse_tree",
    "parses",
    "register",
    "rules_of",
    "syntax_tree",
    "use_domains",
    "verifier_for",
]

_HOMES = {
    "AnswerPattern": "shared.answer_pattern",
    "ChoiceVerifier": "choice.verify",
    "CodeConfig": "config",
    "CodeVerifier": "code.verify",
    "Completion": "completion",
    "DomainRules": "rules",
    "JudgeVerifier": "verifiers",
    "MathConfig": "config",
    "MathVerifier": "math.verify",
    "TextVerifier": "text.domain",
    "VerdictCache": "shared.cache",
    "Verifiers": "verifiers",
    "VerifyConfig": "config",
    "answer_key": "registry",
    "arithmetic_statements": "math.arithmetic",
    "cluster_answers": "registry",
    "code_normal_form": "code.parse",
    "defines": "code.parse",
    "entry_point": "code.parse",
    "equivalent": "registry",
    "load_domain": "registry",
    "load_verifier": "verifiers",
    "numbers": "math.arithmetic",
    "parse_completion": "completion",
    "parse_rollout": "completion",
    "parse_tree": "code.parse",
    "parses": "code.parse",
    "register": "registry",
    "rules_of": "registry",
    "syntax_tree": "code.parse",
    "use_domains": "registry",
    "verifier_for": "verifiers",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
    globals()[name] = value
    return value
