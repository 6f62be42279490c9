"""`memreward ledger`: every label that was paid for, and for what."""

from datetime import UTC, datetime

from memreward.cli.common import AsJson, MemoryUri
from memreward.cli.errors import ends_well
from memreward.cli.output import Output

_LATEST = 10


@ends_well("Nothing was changed: run the same command again.")
def ledger(*, memory: MemoryUri, as_json: AsJson = False) -> None:
    """Print the labels that were consumed: how many queries and judgements, by use and source, and the latest.

    A query counts once, however many of its rollouts were judged; a judgement is one verdict on one rollout. --json
    lists every entry.

    Examples:
      memreward ledger --memory runs/memory
      memreward ledger --memory runs/memory --json
    """
    from memreward.memory import ExperienceMemory

    output = Output(as_json)
    book = ExperienceMemory.open(memory, create=False).ledger
    totals = book.totals()
    entries = book.entries()
    columns = ("queries", "judgements", "references")
    for title, part in (("use", "uses"), ("source", "sources")):
        rows = [(name, *(sums[c] for c in columns)) for name, sums in totals[part].items()]
        output.table(
            f"Labels by {title}", (title, *columns), [*rows, ("all, each once", *(totals[c] for c in columns))]
        )
    latest = [
        (e.rollout_id or e.query_id, e.correct, e.source, e.use, f"{datetime.fromtimestamp(e.time, UTC):%F %H:%M}")
        for e in entries[-_LATEST:]
    ]
    if latest:
        output.table("The latest", ("rollout, or query", "correct", "source", "use", "time (UTC)"), latest)
    output.result(totals | {"entries": entries})
