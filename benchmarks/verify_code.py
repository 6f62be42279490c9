"""Check the code verifier against the benchmarks' own solutions and mutated copies of them, and time it.

    python benchmarks/verify_code.py ../shared/data --out benchmarks/results/verifiers_code.md

Prints, and with --out writes, one page: whether the benchmarks' own solutions pass and mutated copies of them fail, and
verdicts a second. Agreement with the labels of rollout files is measured by benchmarks/verifiers.py.
"""

from __future__ import annotations

import argparse
import ast
import gzip
import json
import os
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from memreward.domains import parse_rollout
from memreward.domains.code.verify import CodeVerifier
from memreward.types import Claim, Query, Verdict

QUESTIONS = ("humanevalplus", "mbppplus")
TRIVIAL = 400
_FLIPPED: dict[type[ast.cmpop], type[ast.cmpop]] = {
    ast.Lt: ast.GtE, ast.GtE: ast.Lt, ast.Gt: ast.LtE, ast.LtE: ast.Gt, ast.Eq: ast.NotEq, ast.NotEq: ast.Eq,
    ast.In: ast.NotIn, ast.NotIn: ast.In, ast.Is: ast.IsNot, ast.IsNot: ast.Is,
}  # fmt: skip
_EXCHANGED: dict[type[ast.operator], type[ast.operator]] = {
    ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Add, ast.Div: ast.Mult, ast.Mod: ast.Mult,
    ast.FloorDiv: ast.Mult, ast.Pow: ast.Mult, ast.BitXor: ast.BitOr, ast.BitAnd: ast.BitOr, ast.BitOr: ast.BitAnd,
}  # fmt: skip


def read_lines(path: Path) -> list[dict[str, Any]]:
    with gzip.open(path, "rt", encoding="utf-8") as file:
        return [json.loads(line) for line in file]


def claim_of(line: dict[str, Any], text: str, rollout_id: str) -> Claim:
    query = Query(line["id"], line["query"], "code", line["dataset"])
    return Claim(parse_rollout(query, text, id=rollout_id), line["reference"])


def canonical(line: dict[str, Any]) -> str:
    """The benchmark's own solution as one whole program."""
    body = line["canonical_solution"]
    return line["query"] + body if line["dataset"].startswith("HumanEval") else body


def fenced(code: str) -> str:
    return f"```python\n{code}\n```"


class _Mutant(ast.NodeTransformer):
    """Changes the n-th place that can be changed: a comparison, an operator, a number, a truth value."""

    def __init__(self, number: int) -> None:
        self.left, self.done = number, False

    def visit(self, node: ast.AST) -> ast.AST:
        node = self.generic_visit(node)
        changed = None if self.done else _changed(node)
        if changed is None:
            return node
        self.left -= 1
        if self.left >= 0:
            return node
        self.done = True
        return ast.copy_location(changed, node)


def _changed(node: ast.AST) -> ast.AST | None:
    if isinstance(node, ast.Compare) and type(node.ops[0]) in _FLIPPED:
        return ast.Compare(node.left, [_FLIPPED[type(node.ops[0])](), *node.ops[1:]], node.comparators)
    if isinstance(node, ast.BinOp) and type(node.op) in _EXCHANGED:
        return ast.BinOp(node.left, _EXCHANGED[type(node.op)](), node.right)
    if isinstance(node, ast.Constant) and isinstance(node.value, bool):
        return ast.Constant(not node.value)
    if isinstance(node, ast.Constant) and isinstance(node.value, int | float):
        return ast.Constant(node.value + 1)
    if isinstance(node, ast.Return) and node.value is not None:
        return ast.Return(ast.Constant(None))
    return None


def mutant(code: str) -> str | None:
    """A copy of `code` in which the first place that can be changed is changed; None without any."""
    tree = ast.parse(code)
    functions = [node for node in tree.body if isinstance(node, ast.FunctionDef)]
    for function in reversed(functions):
        change = _Mutant(0)
        function.body = [change.visit(statement) for statement in function.body]
        if change.done:
            return ast.unparse(ast.fix_missing_locations(tree))
    return None


def solutions(verifier: CodeVerifier, path: Path) -> Iterator[str]:
    """Table row, and the solutions that do not pass and mutants that do, of one set of questions."""
    lines = read_lines(path)
    verdicts = verifier.verify([claim_of(line, fenced(canonical(line)), line["id"]) for line in lines])
    mutants = [(line, text) for line in lines if (text := mutant(canonical(line))) is not None]
    mutated = verifier.verify([claim_of(line, fenced(text), line["id"]) for line, text in mutants])
    passed, counts = sum(v.correct is True for v in verdicts), Counter(v.correct for v in mutated)
    yield (
        f"| {path.name.split('.jsonl')[0]} | {len(lines)} | {passed} | {len(mutants)} | {counts[False]} "
        f"| {counts[None]} | {counts[True]} | {counts[False] / len(mutants):.3f} |"
    )
    for line, verdict in zip(lines, verdicts, strict=True):
        if verdict.correct is not True:
            yield f"- {line['id']}: its own solution is {verdict.correct} ({_short(verdict)})"
    alive = [line["id"] for (line, _), v in zip(mutants, mutated, strict=True) if v.correct is True]
    yield f"- mutants that pass: {', '.join(alive) or 'none'}"


def speed(verifier: CodeVerifier, path: Path) -> str:
    """Verdicts a second for solutions that do nothing but return None, and for the benchmark's own."""
    lines = read_lines(path)
    trivial = [claim_of(line, "    return None\n", f"{i}") for i, line in enumerate((lines * 3)[:TRIVIAL])]
    own = [claim_of(line, fenced(canonical(line)), line["id"]) for line in lines]
    rates = [f"{_rate(verifier, claims):.0f}" for claims in (trivial, own)]
    return f"Trivial solutions (`return None`): {rates[0]} verdicts a second; the benchmark's own: {rates[1]}."


def _rate(verifier: CodeVerifier, claims: Sequence[Claim]) -> float:
    started = time.perf_counter()
    verifier.verify(claims)
    return len(claims) / (time.perf_counter() - started)


def _short(verdict: Verdict) -> str:
    return " ".join(verdict.reason.split())[:120]


def page(data: Path) -> str:
    """Return the whole page as Markdown."""
    verifier = CodeVerifier()
    try:
        rate = speed(verifier, data / "questions" / f"{QUESTIONS[0]}.jsonl.gz")
        held = [list(solutions(verifier, data / "questions" / f"{name}.jsonl.gz")) for name in QUESTIONS]
    finally:
        verifier.close()
    parts = [
        "# The code verifier and the benchmarks' own solutions",
        "    python benchmarks/verify_code.py FOLDER --out benchmarks/results/verifiers_code.md",
        f"prints this page. Contained by {verifier.sandbox.containment}, {verifier.sandbox.places} runs at once on as "
        f"many processors; {os.getloadavg()[1]:.0f} processes of others and ours wanted them in the last five minutes.",
        "In a mutated copy the first place of the function that can be changed is changed: a comparison turned round, "
        "another operator, a number plus one, a truth value, else None returned.",
        "| questions | solutions | pass | mutated copies | fail | cannot tell | pass | share that fails |\n"
        "|---|---|---|---|---|---|---|---|\n" + "\n".join(rows[0] for rows in held),
        "\n".join(row for rows in held for row in rows[1:]),
        rate,
    ]
    return "\n\n".join(parts) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("data", type=Path, help="folder with rollouts/ and questions/")
    parser.add_argument("--out", type=Path, help="Markdown file to write")
    arguments = parser.parse_args()
    text = page(arguments.data)
    print(text)
    if arguments.out is not None:
        arguments.out.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
