"""`memreward verify`: rollouts and a label budget in, the same rollouts with verdicts out."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from memreward.cli.common import (
    AsJson,
    Files,
    FileSettings,
    MemoryUri,
    check_file,
    learns,
    read_files,
    reads_files,
)
from memreward.cli.errors import Exit, ends_well
from memreward.cli.options import options_from
from memreward.cli.output import Output, Steps
from memreward.cli.warmup import counted
from memreward.domains import Verifiers, VerifyConfig
from memreward.reward.settings import LearningConfig
from memreward.types import Group, Verdict

if TYPE_CHECKING:
    from memreward.memory import Budget, ExperienceMemory

USE = "verify"
_QUERIES_AT_ONCE = 16
_KEY = "verdict"


@ends_well("Verdicts so far are in the ledger and in the cache: run the same command again to go on.")
@reads_files()
@learns("labels")
@options_from("settings", VerifyConfig, panel="Verifiers")
def verify(
    files: Files,
    *,
    memory: MemoryUri,
    out: Annotated[Path, typer.Option("--out", "-o", help="Where the file with its verdicts goes, in any format.")],
    verifier: Annotated[
        list[str] | None, typer.Option(help="Your own verifier of a domain; repeatable.", metavar="DOMAIN=FILE.py:NAME")
    ] = None,
    as_json: AsJson = False,
    settings: VerifyConfig,
    learning: LearningConfig,
    reading: FileSettings,
) -> None:
    """Judge rollouts by their references, within the label budget, and write them with what was found.

    Labels that the file holds are not read. "correct" becomes true, false, or null: where the verifier cannot tell,
    and for all queries outside of the budget. Every reference and every verdict is entered in the memory's ledger.

    Examples:
      memreward verify rollouts.jsonl.gz --memory runs/memory --out verified.jsonl.gz
      memreward verify rollouts.jsonl --memory runs/memory --out verified.jsonl --labels 20%
    """
    from memreward.data import format_of, write_groups
    from memreward.domains import VerdictCache
    from memreward.domains.verifiers import load_verifier
    from memreward.features.cache import default_cache_folder
    from memreward.memory import Budget, ExperienceMemory

    output, budget = Output(as_json), Budget.of(learning.labels)
    check_file(out)
    format_of(out)
    own = dict(map(load_verifier, verifier or []))
    verifiers = Verifiers(settings, cache=VerdictCache(default_cache_folder()), own=own)
    started = time.monotonic()
    with output.progress() as steps:
        groups = list(read_files(files, output, reading))
        verifiers.refuse_uncontained(groups)
        store = ExperienceMemory.open(memory)
        store.add(counted(groups, steps))
        found = _verified(groups, store, verifiers, budget, steps)
        write_groups(out, (_with_verdicts(group, found.get(group.query.id)) for group in groups))
    verdicts = [verdict for of_query in found.values() for verdict in of_query.values()]
    counts: dict[str, Any] = {
        "queries": len(groups),
        "verified_queries": len(found),
        "rollouts": len(verdicts),
        "right": sum(verdict.correct is True for verdict in verdicts),
        "wrong": sum(verdict.correct is False for verdict in verdicts),
        "cannot_tell": sum(verdict.correct is None for verdict in verdicts),
        "seconds": round(time.monotonic() - started, 1),
    }
    reasons = Counter(verdict.reason for verdict in verdicts if verdict.correct is None)
    output.table(f"Verdicts in {out}", tuple(name.replace("_", " ") for name in counts), [tuple(counts.values())])
    if reasons:
        output.table("Cannot tell", ("reason", "rollouts"), reasons.most_common())
    output.result({"out": out, **counts, "reasons": reasons, "ledger": store.ledger.totals()})
    if len(verdicts) == counts["cannot_tell"]:
        output.note("Nothing could be told: no query has a reference, or no verdict could be reached.")
        raise typer.Exit(Exit.NOTHING_SCORED)


def _verified(
    groups: Sequence[Group], memory: ExperienceMemory, verifiers: Verifiers, budget: Budget, steps: Steps
) -> dict[str, dict[str, Verdict]]:
    from memreward.memory import label

    by_id = {group.query.id: group for group in groups}
    chosen = memory.ledger.choose(budget, among=list(by_id), by="references")
    total = sum(len(by_id[query_id].rollouts) for query_id in chosen)
    found: dict[str, dict[str, Verdict]] = {}
    done = 0
    for batch in _batches([by_id[query_id] for query_id in chosen]):
        rollouts = [rollout for group in batch for rollout in group.rollouts]
        told = label(memory, [group.query.id for group in batch], verifiers, budget, USE, rollouts=rollouts, again=True)
        known = {one.rollout_id: Verdict(one.correct, f"known by {one.source}") for one in told.labels}
        known |= told.verdicts
        for group in batch:
            found[group.query.id] = {r.id: known[r.id] for r in group.rollouts if r.id in known}
        done += len(rollouts)
        steps("verifying rollouts", done, total)
    return found


def _batches(groups: Sequence[Group]) -> Iterator[Sequence[Group]]:
    for begin in range(0, len(groups), _QUERIES_AT_ONCE):
        yield groups[begin : begin + _QUERIES_AT_ONCE]


def _with_verdicts(group: Group, verdicts: Mapping[str, Verdict] | None) -> Group:
    """The group with what was found in place of what its file said; its reference passes unread."""
    given = verdicts or {}
    provenance: list[Mapping[str, Any]] = []
    for index, rollout in enumerate(group.rollouts):
        known = dict(group.rollout_provenance[index]) if group.rollout_provenance else {}
        known.pop(_KEY, None)
        provenance.append({**known, _KEY: given[rollout.id].reason} if rollout.id in given else known)
    correct = [given[rollout.id].correct if rollout.id in given else None for rollout in group.rollouts]
    return replace(group.judged(correct), rollout_provenance=tuple(provenance))
