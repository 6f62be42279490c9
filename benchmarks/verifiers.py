"""Agreement of the verifiers with labels that others made, and every disagreement.

    python benchmarks/verifiers.py FOLDER [--files NAME ...] [--out benchmarks/results/verifiers.md]

judges every labelled rollout of each rollout file of the folder by its reference and compares with "correct". Who is
right in a disagreement was decided by hand and stands in `benchmarks/verifiers_judged.tsv`, by file and rollout or
question id.
A file that is not asked for keeps its part of the page. Exits with 1 where agreement is below what is demanded.
"""

from __future__ import annotations

import argparse
import csv
import re
import sys
import time
from collections import Counter
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from memreward.data import read_groups
from memreward.domains import Verifiers
from memreward.types import Claim, Domain, Verdict

DEMANDED: dict[Domain, float] = {"math": 0.995, "qa": 0.99, "code": 0.98, "other": 0.0}
JUDGED = Path(__file__).with_name("verifiers_judged.tsv")
ANSWERS = {True: "right", False: "wrong", None: "cannot tell"}
AT_ONCE = 512
HEAD = """# Verifiers against labels that others made

    {command}

prints this page. Agreement counts "cannot tell" as a disagreement. Demanded of the second figure are .995 for
mathematics, .99 for multiple choice, and .98 for code, whose labels were made with HumanEval's base tests and
HumanEval+'s mini tests only: a label that was found to be wrong is in the table, and not held against the verifier.
Rollouts without a label are left out.
Who is right stands in `benchmarks/verifiers_judged.tsv`, decided by reading, for multiple choice by rule from a sample
that was read; "convention" is where both have a point.
Rates are those of two cores that others used too. What the verifiers accept and refuse:
[docs/verifiers.md](../../docs/verifiers.md).
"""


@dataclass(frozen=True)
class Row:
    """One labelled rollout and what was found."""

    claim: Claim
    label: bool
    verdict: Verdict


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, help="folder of rollout files")
    parser.add_argument("--files", nargs="*", default=[], help="only files whose name starts so")
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results/verifiers.md"), help="the page")
    options = parser.parse_args()
    paths = sorted(path for path in options.folder.iterdir() if path.name.endswith(".jsonl.gz"))
    chosen = [path for path in paths if not options.files or path.name.startswith(tuple(options.files))]
    judged = judgements()
    parts = known_parts(options.out)
    enough = True
    for path in chosen:
        name = path.name.removesuffix(".jsonl.gz")
        rows, seconds = measured(path)
        parts[name] = part(name, rows, seconds, judged.get(name, {}))
        enough &= agreement(rows, judged.get(name, {})) >= DEMANDED[rows[0].claim.rollout.query.domain]
    page = "\n".join([HEAD.format(command="make verifiers"), *(parts[name] for name in sorted(parts))])
    options.out.write_text(page, encoding="utf-8")
    sys.exit(not enough)


def judgements() -> dict[str, dict[str, tuple[str, str]]]:
    """Who is right and why, by file and then by rollout id or question id."""
    found: dict[str, dict[str, tuple[str, str]]] = {}
    with JUDGED.open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE):
            found.setdefault(row["file"], {})[row["id"]] = row["who"], row["why"]
    return found


def known_parts(page: Path) -> dict[str, str]:
    text = page.read_text(encoding="utf-8") if page.exists() else ""
    return {
        match[1]: f"{match[0].rstrip()}\n" for match in re.finditer(r"^## (\S+)\n(?:(?!^## ).*\n)*", text, re.MULTILINE)
    }


def measured(path: Path) -> tuple[list[Row], float]:
    """Every labelled rollout of a file with its verdict, and the seconds that took."""
    claims: list[tuple[Claim, bool]] = []
    for group in read_groups(path):
        assert group.truth.reference is not None
        for rollout, label in zip(group.rollouts, group.truth.correct, strict=True):
            if label is not None:
                claims.append((Claim(rollout, group.truth.reference), label))
    verifiers = Verifiers()
    verifiers.verify([claims[0][0]])
    start, rows, remaining = time.monotonic(), [], iter(claims)
    while batch := list(islice(remaining, AT_ONCE)):
        verdicts = verifiers.verify([claim for claim, _ in batch])
        rows += [Row(claim, label, verdict) for (claim, label), verdict in zip(batch, verdicts, strict=True)]
        print(f"{path.name}: {len(rows)} of {len(claims)}, {time.monotonic() - start:.0f} s", file=sys.stderr)
    return rows, time.monotonic() - start


def agreement(rows: list[Row], judged: dict[str, tuple[str, str]] | None = None) -> float:
    """The share of rollouts with one verdict and label; with `judged`, where the verifier is right that counts too."""
    agreed = [row.verdict.correct is row.label or judgement(row, judged or {})[0] == "verifier" for row in rows]
    return sum(agreed) / len(rows)


def part(name: str, rows: list[Row], seconds: float, judged: dict[str, tuple[str, str]]) -> str:
    counts = Counter((row.verdict.correct, row.label) for row in rows)
    differing = [row for row in rows if row.verdict.correct is not row.label]
    decided = [row for row in rows if row.verdict.correct is not None]
    who = Counter(judgement(row, judged)[0] for row in differing)
    lines = [
        f"## {name}",
        "",
        "| rollouts | agreement | labels found wrong put right | of those decided | verifier wrong, label right "
        "| verifier right, label wrong | cannot tell, label right / wrong | rollouts/s |",
        "|---|---|---|---|---|---|---|---|",
        f"| {len(rows)} | **{agreement(rows):.4f}** | **{agreement(rows, judged):.4f}** | {agreement(decided):.4f} "
        f"| {counts[False, True]} "
        f"| {counts[True, False]} | {counts[None, True]} / {counts[None, False]} | {len(rows) / seconds:.0f} |",
        "",
    ]
    if differing:
        lines += [
            f"{len(differing)} disagreements; right is: " + ", ".join(f"{k} {n}" for k, n in who.most_common()) + ".",
            "",
            "| rollout | reference | answer | verifier | label | right is | why |",
            "|---|---|---|---|---|---|---|",
            *(disagreement(row, judged) for row in differing),
            "",
        ]
    return "\n".join(lines)


def judgement(row: Row, judged: dict[str, tuple[str, str]]) -> tuple[str, str]:
    rollout = row.claim.rollout
    return judged.get(rollout.id) or judged.get(rollout.query.id) or ("not judged", "")


def disagreement(row: Row, judged: dict[str, tuple[str, str]]) -> str:
    rollout, verdict = row.claim.rollout, row.verdict
    code = rollout.query.domain == "code"
    reference = "tests" if code else shown(row.claim.reference)
    answer = "code" if code else shown(rollout.answer or "none")
    found = f"{ANSWERS[verdict.correct]}: {escaped(verdict.reason[:120])}"
    who, why = judgement(row, judged)
    return f"| {rollout.id} | {reference} | {answer} | {found} | {ANSWERS[row.label]} | {who} | {escaped(why)} |"


def shown(text: str) -> str:
    text = text if len(text) <= 50 else f"{text[:47]}..."
    return f"`{escaped(text)}`"


def escaped(text: str) -> str:
    return " ".join(text.replace("|", "\\|").split())


if __name__ == "__main__":
    main()
