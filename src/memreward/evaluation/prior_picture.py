"""A picture of a prior: the weights of each domain that stand out most from their spread."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from memreward.answers.prior import RewardPrior
from memreward.answers.table import columns_of
from memreward.types import MissingExtraError


def strongest_weights(prior: RewardPrior, domain: str) -> list[tuple[str, float, float]]:
    """Return column, mean and deviation of each weight, those that stand out most from their deviation first."""
    one = prior.domains[domain]
    deviation = np.sqrt(np.diag(one.weights.covariance))
    names = columns_of(one.signals)
    order = np.argsort(-np.abs(one.weights.mean) / deviation, kind="stable")
    return [(names[j], float(one.weights.mean[j]), float(deviation[j])) for j in order]


def draw_prior(prior: RewardPrior, path: Path, top: int = 15) -> None:
    """Draw the `top` weights of each domain with twice their deviation to both sides.

    Raises:
        MissingExtraError: if matplotlib is not installed.
    """
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise MissingExtraError("matplotlib", "report", "a picture") from error
    domains = list(prior.domains)
    figure = Figure(figsize=(4.8 * len(domains), 0.8 + 0.28 * top), layout="constrained")
    axes: Any = figure.subplots(1, len(domains), squeeze=False)[0]
    for panel, domain in zip(axes, domains, strict=True):
        names, means, deviations = zip(*strongest_weights(prior, domain)[:top], strict=True)
        place = np.arange(len(names))[::-1]
        panel.errorbar(means, place, xerr=2 * np.array(deviations), fmt="o", color="#1f5fa8", capsize=2, markersize=4)
        panel.axvline(0, color="0.6", linewidth=0.8)
        panel.set_yticks(place, names, fontsize=8)
        sources = len(prior.domains[domain].sources)
        panel.set_title(f"{domain}: {sources} {'source' if sources == 1 else 'sources'}", fontsize=10)
        panel.set_xlabel("weight, and twice its deviation", fontsize=8)
        panel.tick_params(axis="x", labelsize=8)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=120)
