"""Static signals of Python answers. Nothing is executed."""

import ast
import builtins
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from memreward.domains import rules_of
from memreward.domains.code.parse import (
    Function,
    code_normal_form,
    entry_point,
    functions_of,
    parse_tree,
    parses,
    statements,
)
from memreward.features.evidence.overlap import Overlap
from memreward.features.evidence.parts import CACHED_TEXTS, NOTHING, Parts, hashed, word_pairs
from memreward.features.evidence.pools import Column, Pools
from memreward.types import Rollout

_BUILTINS = frozenset(dir(builtins)) | {"__name__", "__file__", "__doc__"}
_LEVELS = 3
_parses = lru_cache(maxsize=CACHED_TEXTS)(parses)


@dataclass(frozen=True)
class CodeFacts:
    """What can be read off one solution.

    Attributes:
        defines: 1 if the entry point (without one: any function) is defined and has a body.
        undefined: log(1 + number of names that the function reads and nothing binds); NaN where it is not defined.
        subtrees: Every expression and statement of its body down to three levels, local names left out.
        token_pairs: Pairs of neighbouring tokens of its normal form.
    """

    parses: float
    defines: float
    undefined: float
    subtrees: Parts
    token_pairs: Parts


_NO_CODE = CodeFacts(np.nan, np.nan, np.nan, NOTHING, NOTHING)


def code_signals(pools: Pools) -> dict[str, Column]:
    """Signals of domain code; NaN for rollouts of other domains."""
    is_code = np.array([rules_of(r.query.domain).program for r in pools.rollouts], dtype=bool)
    facts = [
        code_facts(r.answer or "", entry_point(r.query.text)) if code else _NO_CODE
        for r, code in zip(pools.rollouts, is_code, strict=True)
    ]
    whole = [_whole_text_parses(r) if code else np.nan for r, code in zip(pools.rollouts, is_code, strict=True)]
    trees = Overlap(pools, [f.subtrees for f in facts])
    tokens = Overlap(pools, [f.token_pairs for f in facts])
    columns = {
        "code_parses": np.array([f.parses for f in facts]),
        "code_whole": np.array(whole),
        "code_defines": np.array([f.defines for f in facts]),
        "code_undefined": np.array([f.undefined for f in facts]),
        "code_tree_recall": trees.recall,
        "code_tree_cosine": trees.cosine,
        "code_token_recall": tokens.recall,
    }
    return {name: np.where(is_code, column, np.nan) for name, column in columns.items()}


@lru_cache(maxsize=CACHED_TEXTS)
def code_facts(code: str, name: str | None) -> CodeFacts:
    """Read one solution whose entry point is `name`, or its last function where that is None."""
    tree = parse_tree(code)
    function = next(reversed(functions_of(tree, name)), None)
    body = [] if function is None else statements(function)
    tokens = word_pairs(code_normal_form(code, name)) if code.strip() else NOTHING
    if tree is None or function is None:
        return CodeFacts(float(tree is not None and bool(code.strip())), 0.0, np.nan, NOTHING, tokens)
    return CodeFacts(
        parses=1.0,
        defines=float(bool(body)),
        undefined=float(
            np.log1p(len(_read(body) - _BUILTINS - {name for node in ast.walk(tree) for name in _bound_by(node)}))
        ),
        subtrees=_subtrees(body, _parameters(function)),
        token_pairs=tokens,
    )


def _whole_text_parses(rollout: Rollout) -> float:
    """Whether the completion is Python to its last character, alone or as the prompt's continuation."""
    return float(_parses(rollout.text) or _parses(rollout.query.text + rollout.text))


def _parameters(function: Function) -> list[str]:
    signature = function.args
    return [a.arg for a in (*signature.posonlyargs, *signature.args, *signature.kwonlyargs)]


def _read(body: list[ast.stmt]) -> set[str]:
    names = (node for statement in body for node in ast.walk(statement) if isinstance(node, ast.Name))
    return {name.id for name in names if isinstance(name.ctx, ast.Load)}


def _bound_by(node: ast.AST) -> list[str]:
    match node:
        case ast.Name(id=name, ctx=ast.Store() | ast.Del()) | ast.arg(arg=name):
            return [name]
        case ast.Import(names) | ast.ImportFrom(names=names):
            return [(alias.asname or alias.name).partition(".")[0] for alias in names]
        case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.ClassDef():
            return [node.name]
        case ast.ExceptHandler(name=str(name)) | ast.MatchAs(name=str(name)) | ast.MatchStar(name=str(name)):
            return [name]
    return []


def _subtrees(body: list[ast.stmt], parameters: list[str]) -> Parts:
    nodes = [node for statement in body for node in ast.walk(statement) if not isinstance(node, ast.expr_context)]
    position = {id(node): i for i, node in enumerate(nodes)}
    below = [[position[id(child)] for child in ast.iter_child_nodes(n) if id(child) in position] for n in nodes]
    labels = [_label(node, parameters) for node in nodes]
    hashes = hashed(labels)
    for _ in range(_LEVELS):
        known = hashes.tolist()
        hashes = hashed(f"{label}({[known[i] for i in held]})" for label, held in zip(labels, below, strict=True))
    return np.unique(hashes)


def _label(node: ast.AST, parameters: list[str]) -> str:
    if isinstance(node, ast.Name):
        if node.id in parameters:
            return f"parameter {parameters.index(node.id)}"
        return node.id if node.id in _BUILTINS else "local"
    if isinstance(node, ast.Constant):
        return repr(node.value)
    return f".{node.attr}" if isinstance(node, ast.Attribute) else type(node).__name__
