"""The one place that splits a completion into thinking and answer, and says when two answers are equivalent."""

from memreward.parsing.answer_pattern import AnswerPattern
from memreward.parsing.arithmetic import arithmetic_statements, numbers
from memreward.parsing.completion import Completion, parse_completion, parse_rollout
from memreward.parsing.equivalence import answer_key, cluster_answers, equivalent
from memreward.parsing.python_code import code_normal_form, defines, entry_point, parse_tree, parses, syntax_tree

__all__ = [
    "AnswerPattern",
    "Completion",
    "answer_key",
    "arithmetic_statements",
    "cluster_answers",
    "code_normal_form",
    "defines",
    "entry_point",
    "equivalent",
    "numbers",
    "parse_completion",
    "parse_rollout",
    "parse_tree",
    "parses",
    "syntax_tree",
]
