"""A warmed-up predictor over sums, and the folders of what the tests of other rooms have made."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.append(str(Path(__file__).resolve().parents[1] / "reward"))
sys.path.append(str(Path(__file__).resolve().parents[1] / "policy"))

from warm_sums import *  # noqa: F403
