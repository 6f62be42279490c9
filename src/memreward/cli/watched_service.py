"""What a running service says of itself, look by look: for `memreward watch` of trainings by verl and others."""

from __future__ import annotations

import os
import re
import time
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from urllib.error import HTTPError, URLError

from memreward.types import StoreError

SHOWN = {
    "predicted, where labelled": "live_predicted",
    "true, on the same": "live_true",
    "live J": "live_j",
    "abstained": "abstained",
    "waiting": "waiting",
}
"""Shown name -> figure of a look."""
_SAMPLE = re.compile(r'^memreward_(\w+?)(?:\{(?:source|whole)="(\w+)"\})? (\S+)$', re.MULTILINE)
_SECONDS = 10.0


def figures(url: str) -> dict[str, float]:
    """Ask a service's /metrics; return gauges and counts by name, "rollouts_total:predicted" where there are kinds.

    Besides: "live_predicted" and "live_true", shares of the latest labelled rollouts that were held to be right and
    that are; "abstained", the share of all answers without a value.
    """
    token = os.environ.get("MEMREWARD_TOKEN", "").strip()
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    remedy = "give the address that memreward serve prints"
    try:
        asked = urllib.request.Request(f"{url.rstrip('/')}/metrics", headers=headers)
        with urllib.request.urlopen(asked, timeout=_SECONDS) as reply:
            text = reply.read().decode("utf-8", "replace")
    except HTTPError as error:
        error.close()
        why = "it needs the token in MEMREWARD_TOKEN" if error.code == 401 else f"it says {error.code} {error.reason}"
        raise StoreError(f"{url}: {why}; {remedy}") from error
    except (URLError, OSError, ValueError) as error:
        raise StoreError(f"{url}: no service answers ({getattr(error, 'reason', error)}); {remedy}") from error
    found = {f"{name}:{kind}" if kind else name: float(value) for name, kind, value in _SAMPLE.findall(text)}
    if "up" not in found:
        raise StoreError(f"{url}: what answers is not a service of memreward; {remedy}")
    right, wrong = found.get("live_right", 0.0), found.get("live_wrong", 0.0)
    if live := right + wrong:
        found["live_predicted"] = (right * found["live_tpr"] + wrong * found["live_fpr"]) / live
        found["live_true"] = right / live
    if answers := total(found, "rollouts_total"):
        found["abstained"] = found.get("rollouts_total:abstained", 0.0) / answers
    return found


def total(found: Mapping[str, float], name: str) -> float:
    """Return the sum over kinds of what is counted."""
    return sum(value for key, value in found.items() if key.partition(":")[0] == name)


def told(url: str, since: float, looks: Sequence[Mapping[str, float]], width: int = 80) -> Iterator[str]:
    """Yield lines on the looks so far: what it answered, rates on labelled rollouts, labels it spent, what is amiss."""
    from memreward.cli.watch import curves

    last = looks[-1]
    yield f"{url}, watched for {time.monotonic() - since:.0f} s"
    kinds = ", ".join(
        f"{v:.0f} {k.partition(':')[2]}" for k, v in last.items() if k.startswith("rollouts_total:") and v
    )
    yield f"rollouts: {total(last, 'rollouts_total'):.0f}{f' ({kinds})' if kinds else ''}"
    groups = total(last, "groups_total")
    part, under_way = last.get("groups_total:no", 0), last.get("collecting", 0)
    yield f"groups: {groups:.0f} scored, {part:.0f} of them in part; {under_way:.0f} under way"
    yield from curves(looks, SHOWN, width)
    yield f"labels: {last.get('labelled_queries', 0):.0f} questions"
    yield _alarms(last)


def _alarms(last: Mapping[str, float]) -> str:
    failed, faults = last.get("failures_total", 0.0), last.get("faults", 0.0)
    amiss = [f"{failed:.0f} rollouts failed"] * bool(failed) + [f"{faults:.0f} groups met a bug"] * bool(faults)
    return f"ALARM: {', '.join(amiss)}; the service's log says why" if amiss else "no alarm"
