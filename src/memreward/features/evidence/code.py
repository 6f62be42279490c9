"""Static facts of Python answers. Nothing is executed."""

from __future__ import annotations

import ast
import builtins
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from memreward.features.evidence.overlap import pool_overlap
from memreward.features.evidence.parts import Parts, ngram_parts
from memreward.features.evidence.pools import Column, Pools
from memreward.parsing import code_normal_form, entry_point, parses
from memreward.parsing.python_code import parse_tree

_BUILTINS = frozenset(dir(builtins))
_DEPTH = 3


@dataclass(frozen=True)
class CodeFacts:
    """What the entry point's syntax tree says; NaN where there is no tree.

    Attributes:
        defined: 1 if the entry point is defined with a body.
        size: log(1 + number of syntax nodes).
        returns: Number of return statements.
        branches: Number of conditions and loops.
        depth: Nesting depth of statements.
        ends: 1 if every path ends in return or raise.
        arguments_used: Share of the parameters that the body reads.
        undefined: Number of names that are read and bound nowhere.
        subtrees: Hashes of all subtrees down to three levels, local names left out.
    """

    defined: float
    size: float
    returns: float
    branches: float
    depth: float
    ends: float
    arguments_used: float
    undefined: float
    subtrees: Parts


_NOTHING = np.zeros(0, dtype=np.uint64)


@lru_cache(maxsize=8192)
def code_facts(code: str, name: str | None) -> CodeFacts:
    """Read one solution whose entry point is `name`."""
    tree = parse_tree(code)
    function = None if tree is None else _entry(tree, name)
    if tree is None or function is None:
        return CodeFacts(0.0, *[np.nan] * 7, subtrees=_NOTHING)
    body = [s for s in function.body if not _is_comment(s)]
    nodes = [node for statement in body for node in ast.walk(statement)]
    parameters = [a.arg for a in (*function.args.posonlyargs, *function.args.args, *function.args.kwonlyargs)]
    read = {n.id for n in nodes if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Load)}
    return CodeFacts(
        defined=float(bool(body)),
        size=float(np.log1p(len(nodes))),
        returns=float(sum(isinstance(n, ast.Return) for n in nodes)),
        branches=float(sum(isinstance(n, ast.If | ast.IfExp | ast.For | ast.While | ast.comprehension) for n in nodes)),
        depth=float(_depth(body)),
        ends=float(_always_ends(body)),
        arguments_used=float(np.mean([p in read for p in parameters])) if parameters else np.nan,
        undefined=float(len(read - _BUILTINS - _bound(tree))),
        subtrees=_subtrees(body, {p: f"p{i}" for i, p in enumerate(parameters)}),
    )


def code_signals(pools: Pools) -> dict[str, Column]:
    """Signals of domain code; NaN for rollouts of other domains."""
    is_code = np.array([r.query.domain == "code" for r in pools.rollouts], dtype=bool)
    names = ("defined", "size", "returns", "branches", "depth", "ends", "arguments_used", "undefined")
    facts = [
        code_facts(r.answer or "", entry_point(r.query.text)) if code else None
        for r, code in zip(pools.rollouts, is_code, strict=True)
    ]
    out = {
        f"code_{name}": np.array([np.nan if f is None else getattr(f, name) for f in facts], dtype=float)
        for name in names
    }
    out["code_parses"] = np.array(
        [float(parses(r.answer or "")) if code else np.nan for r, code in zip(pools.rollouts, is_code, strict=True)]
    )
    for name in ("size", "returns", "branches"):
        out[f"code_{name}_distance"] = np.abs(out[f"code_{name}"] - pools.mean(out[f"code_{name}"]))
    tree = pool_overlap(pools, [_NOTHING if f is None else f.subtrees for f in facts])
    words = [
        ngram_parts(code_normal_form(r.answer, entry_point(r.query.text)), 2) if code and r.answer else _NOTHING
        for r, code in zip(pools.rollouts, is_code, strict=True)
    ]
    token = pool_overlap(pools, words)
    for kind, overlap in (("tree", tree), ("token", token)):
        for field in ("precision", "recall", "cosine"):
            out[f"code_{kind}_{field}"] = np.where(is_code, getattr(overlap, field), np.nan)
    return out


def _entry(tree: ast.Module, name: str | None) -> ast.FunctionDef | ast.AsyncFunctionDef | None:
    functions = [n for n in tree.body if isinstance(n, ast.FunctionDef | ast.AsyncFunctionDef)]
    named = [f for f in functions if f.name == name] if name is not None else functions
    return named[-1] if named else None


def _is_comment(statement: ast.stmt) -> bool:
    return isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant)


def _bound(tree: ast.Module) -> set[str]:
    bound: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Name) and not isinstance(node.ctx, ast.Load):
            bound.add(node.id)
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            bound.add(node.name)
        elif isinstance(node, ast.arg):
            bound.add(node.arg)
        elif isinstance(node, ast.Import | ast.ImportFrom):
            bound.update((a.asname or a.name).partition(".")[0] for a in node.names)
        elif isinstance(node, ast.ExceptHandler) and node.name is not None:
            bound.add(node.name)
    return bound


def _blocks(statement: ast.stmt) -> Iterator[list[ast.stmt]]:
    for field in ("body", "orelse", "finalbody"):
        block = getattr(statement, field, None)
        if isinstance(block, list):
            yield block


def _depth(body: list[ast.stmt]) -> int:
    return max((1 + max((_depth(b) for b in _blocks(s)), default=0) for s in body), default=0)


def _always_ends(body: list[ast.stmt]) -> bool:
    if not body:
        return False
    last = body[-1]
    if isinstance(last, ast.Return | ast.Raise):
        return True
    if isinstance(last, ast.If):
        return _always_ends(last.body) and _always_ends(last.orelse)
    if isinstance(last, ast.Try | ast.With):
        return _always_ends(last.body)
    return isinstance(last, ast.While) and isinstance(last.test, ast.Constant)


def _subtrees(body: list[ast.stmt], parameters: dict[str, str]) -> Parts:
    """Hash every expression and statement with `_DEPTH` levels of what it holds."""
    nodes = [node for statement in body for node in ast.walk(statement) if not isinstance(node, ast.expr_context)]
    position = {id(node): i for i, node in enumerate(nodes)}
    children = [[position[id(c)] for c in ast.iter_child_nodes(n) if id(c) in position] for n in nodes]
    labels = [_label(node, parameters) for node in nodes]
    hashes = labels
    for _ in range(_DEPTH):
        hashes = [f"{label}({','.join(hashes[c] for c in below)})" for label, below in zip(labels, children, strict=True)]
        hashes = [format(zlib.crc32(h.encode("utf-8", "surrogatepass")), "x") for h in hashes]
    return np.unique(np.array([int(h, 16) for h in hashes], dtype=np.uint64))


def _label(node: ast.AST, parameters: dict[str, str]) -> str:
    if isinstance(node, ast.Name):
        return parameters.get(node.id, node.id if node.id in _BUILTINS else "_")
    if isinstance(node, ast.Constant):
        return repr(node.value)
    if isinstance(node, ast.Attribute):
        return f".{node.attr}"
    return type(node).__name__
