"""The folder of the tiny model, which the policy's tests have made."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.append(str(Path(__file__).resolve().parents[1] / "policy"))
