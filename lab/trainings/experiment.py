"""All arms from one starting policy: over label shares and seeds, in processes side by side."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import Future
from pathlib import Path

from lab.arms import ARMS
from lab.testbed.config import StartConfig
from lab.testbed.start import Start, make_start
from lab.trainings.cell import START, Training, cell_key, is_done, run_cell
from lab.trainings.config import ExperimentConfig
from lab.trainings.outcome import TrainingOutcome
from memreward.data.draw import Count
from memreward.evaluation.workers import worker_processes
from memreward.features.cache import default_cache_folder
from memreward.types import Progress, content_hash


def run(config: ExperimentConfig, out: Path, progress: Progress, *, start: Path | None = None) -> list[TrainingOutcome]:
    """Train every arm at every share with every seed; trainings that `out` holds already are taken over.

    Args:
        config: What is compared.
        out: Folder for the trainings.
        progress: Told of a stage, what is done and of how much.
        start: Folder of the starting point, made there where it is missing; None keeps it in the cache.

    Returns:
        The outcomes, the policy before training among them, by seed.

    Raises:
        ConfigurationError: `start` was made with other settings.
        StoreError: a folder cannot be written, or an outcome not read.
        MemRewardError: a worker process died.
    """
    begun = make_start(config.start, start or _cached_start(config.start), progress)
    cells = list(_cells(config, begun))
    folders = [out / "cells" / f"{cell.name}_{cell_key(cell)[:8]}" for cell in cells]
    outcomes: dict[int, TrainingOutcome] = {}
    with worker_processes(config.workers) as workers:
        # What is there already is only read, and not worth a process.
        ready = [i for i, folder in enumerate(folders) if is_done(folder)]
        outcomes.update({i: run_cell(cells[i], folders[i]) for i in ready})
        progress("training", len(outcomes), len(cells))
        running: dict[Future[TrainingOutcome], int] = {}
        for i, (cell, folder) in enumerate(zip(cells, folders, strict=True)):
            if i not in outcomes:
                running[workers.submit(run_cell, cell, folder)] = i
        for future in workers.completed():
            outcomes[running[future]] = future.result()
            progress("training", len(outcomes), len(cells))
    return [outcomes[i] for i in range(len(cells))]


def _cells(config: ExperimentConfig, start: Start) -> Iterator[Training]:
    """Seed by seed, so that an interrupted experiment has compared all arms on the first seeds."""
    for seed in range(config.seeds):
        yield _cell(config, start, START, 0.0, seed)
        for number, share in enumerate(config.counts()):
            for name in config.arms:
                # Arms that read all labels or none are the same at every share.
                if ARMS[name].labels == "share" or number == 0:
                    yield _cell(config, start, name, share if ARMS[name].labels == "share" else 0.0, seed)


def _cell(config: ExperimentConfig, start: Start, arm: str, share: Count, seed: int) -> Training:
    choose = config.choose if arm != START and ARMS[arm].labels == "share" else "random"
    return Training(
        start.folder,
        arm,
        share or 1.0,
        choose,
        seed,
        config.grpo,
        config.sampling,
        config.trl,
        config.prior,
        config.encoder,
        config.answers,
        config.measure_every,
    )


def _cached_start(config: StartConfig) -> Path:
    return default_cache_folder() / "testbed" / content_hash(repr(config))[:12]
