"""Signals of what code does when it is run; see `memreward.features.behaviour`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from memreward.features.behaviour import Behaviour
from memreward.features.evidence.agreement import weighted_votes
from memreward.features.evidence.pools import Column, Pools, ratio
from memreward.types import Rollout

Behaviours = Sequence[Behaviour | None]


@dataclass(frozen=True)
class ComparedRuns:
    """What the solutions of each query do on the inputs that count: the prompt's, and those that most do not raise on.

    Attributes:
        loads: (n,) 1 where the solution loads and defines the function; NaN where there is nothing to run.
        returns: (n,) share of the inputs that count on which it returns; 0 where none counts.
        examples: (n,) share of the prompt's examples that it meets; NaN where the prompt has none.
        shared: (n,) mean, over the inputs that count, of the share of the pool that returns the same value; else 0.
        keys: n keys, equal for equal values on all inputs that count; None where it returns on none of them.
    """

    loads: Column
    returns: Column
    examples: Column
    shared: Column
    keys: tuple[str | None, ...]

    @classmethod
    def of(cls, rollouts: Sequence[Rollout], behaviours: Behaviours) -> ComparedRuns:
        """Compare the solutions of each query."""
        n = len(rollouts)
        loads, returns, examples, shared = (np.full(n, np.nan) for _ in range(4))
        keys: list[str | None] = [None] * n
        pools: dict[str, list[tuple[int, Behaviour]]] = {}
        for row, (rollout, behaviour) in enumerate(zip(rollouts, behaviours, strict=True)):
            if behaviour is not None:
                pools.setdefault(rollout.query.id, []).append((row, behaviour))
        for pool in pools.values():
            rows = [row for row, _ in pool]
            loads[rows] = [b.loads for _, b in pool]
            examples[rows] = [b.examples_met for _, b in pool]
            values = _values_that_count([b for _, b in pool])
            returns[rows] = shared[rows] = 0.0
            if values.shape[1]:
                returned = values >= 0
                returns[rows] = returned.mean(axis=1)
                same = (values[:, None, :] == values[None, :, :]) & returned[:, None, :]
                shared[rows] = same.sum(axis=(1, 2)) / values.size
                for row, own in zip(rows, values, strict=True):
                    keys[row] = own.tobytes().hex() if (own >= 0).any() else None
        return cls(loads, returns, examples, shared, tuple(keys))


def behaviour_signals(pools: Pools, compared: ComparedRuns) -> dict[str, Column]:
    """Signals of running; NaN where the domain is not code or the question gives nothing to run on."""
    works = np.array([key is not None for key in compared.keys])
    agreeing = np.where(works, pools.cluster_size / pools.size, 0.0)
    return {
        "run_loads": compared.loads,
        "run_returns": compared.returns,
        "run_examples": compared.examples,
        "run_examples_relative": compared.examples - pools.mean(compared.examples),
        "run_agreement": np.where(np.isfinite(compared.returns), agreeing, np.nan),
        "run_agreement_inputs": compared.shared,
        "run_agreement_relative": ratio(compared.shared, pools.maximum(compared.shared)),
        "run_votes": weighted_votes(pools, compared.examples),
    }


def _values_that_count(behaviours: Sequence[Behaviour]) -> NDArray[np.int64]:
    """(p, c) hash of what each of p solutions returns on the c inputs that count; -1 where it returns nothing."""
    outcomes = np.stack([b.outcomes[:, 1] for b in behaviours])
    returned = np.stack([b.returned for b in behaviours])
    counts = 2 * returned.sum(axis=0) > returned.any(axis=1).sum()
    counts[: behaviours[0].n_examples] = True
    return np.where(returned, outcomes, -1)[:, counts]
