"""Programs of code rollouts: what is run when a solution is run, and what its question gives along."""

from __future__ import annotations

import ast
from functools import lru_cache

from memreward.domains.code.parse import Function, defines_body, entry_point, parses, prompt_tree
from memreward.types import Rollout


def solution_source(rollout: Rollout) -> str | None:
    """Return the program of a code rollout, or None where it holds none. Nothing is run.

    The question's own imports and helpers stand before a solution that does not repeat them.
    """
    prompt = rollout.query.text
    name = entry_point(prompt)
    answer = rollout.answer
    if answer is None:
        joined = (prompt + rollout.text, rollout.text)
        answer = next((code for code in joined if name and defines_body(code, name)), None)
    return None if answer is None else _with_given(answer, prompt)


@lru_cache(maxsize=1024)
def given_definitions(prompt: str) -> str:
    """Return what a code prompt defines beside the function that it asks for: imports, helpers, constants."""
    name, tree = entry_point(prompt), prompt_tree(prompt)
    if tree is None or name is None:
        return ""
    kept = [
        node
        for node in tree.body
        if isinstance(node, ast.Import | ast.ImportFrom | ast.ClassDef | ast.Assign | ast.AnnAssign)
        or (isinstance(node, Function) and node.name != name)
    ]
    return "\n".join(ast.unparse(node) for node in kept)


def _with_given(code: str, prompt: str) -> str:
    given = given_definitions(prompt)
    if not given or code.startswith(prompt.rstrip()) or "from __future__" in code or not parses(code):
        return code
    return f"{given}\n\n{code}"
