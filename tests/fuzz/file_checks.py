"""What must hold of any bytes that stand in a rollout file: groups or a named error, soon."""

from __future__ import annotations

import contextlib
import gzip
import tempfile
import time
from pathlib import Path

from memreward.data import read_groups
from memreward.types import MemRewardError

NAMES = ("a.jsonl", "a.json", "a.jsonl.gz", "a.parquet", "a.csv")
SECONDS = 5.0


def check_bytes(data: bytes) -> None:
    """Read a file: the first byte chooses its name; a compressed one holds the rest, and once is the rest."""
    if not data:
        return
    name, content = NAMES[data[0] % len(NAMES)], data[1:]
    start = time.process_time()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / name
        for written in (content, gzip.compress(content, 1)) if name.endswith(".gz") else (content,):
            path.write_bytes(written)
            for skip_bad in (True, False):
                with contextlib.suppress(MemRewardError):
                    list(read_groups(path, skip_bad=skip_bad))
    assert time.process_time() - start < SECONDS
