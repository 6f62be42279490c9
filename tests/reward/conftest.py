"""A warmed-up predictor over sums."""

from __future__ import annotations

from warm_sums import *  # noqa: F403
