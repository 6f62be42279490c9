"""Everything that depends on the kind of question: from completion to answer, equivalence of answers, verification."""

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
    load_all,
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

load_all()
