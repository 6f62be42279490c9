"""The starting point of all arms: a taught policy, questions in disjoint parts, rollouts of the policy on them."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

from lab.testbed.config import LONGEST, StartConfig
from lab.testbed.measure import sample_groups
from lab.testbed.policy import load_policy, save_policy, teach
from lab.testbed.questions import TestbedSplit, draw_split
from memreward.data import read_groups, write_groups
from memreward.domains import Verifiers
from memreward.memory import sealed_verdicts
from memreward.policy.settings import SamplingConfig
from memreward.types import ConfigurationError, Group, Progress, StoreError

POLICY, EXPERIENCE, TEST, FOREIGN = "policy", "experience.jsonl.gz", "test.jsonl.gz", "foreign.jsonl.gz"
_RECORD = "start.json"


@dataclass(frozen=True)
class Start:
    """A folder with the starting point.

    Attributes:
        folder: Where it is.
    """

    folder: Path

    @property
    def policy(self) -> Path:
        """Checkpoint of the policy."""
        return self.folder / POLICY

    @property
    def experience(self) -> Path:
        """Training questions with references, rollouts of the policy, and verdicts."""
        return self.folder / EXPERIENCE

    def groups(self, part: str) -> list[Group]:
        """Return the questions of `EXPERIENCE`, `TEST` or `FOREIGN`."""
        return list(read_groups(self.folder / part))

    def fingerprint(self) -> str:
        """Return a hash of the policy, the questions and the rollouts."""
        files = [*sorted(self.policy.iterdir()), *(self.folder / name for name in (EXPERIENCE, TEST, FOREIGN))]
        held = ((path.name.encode(), sha256(path.read_bytes()).digest()) for path in files)
        return sha256(b"".join(name + b"\0" + digest for name, digest in held)).hexdigest()


def make_start(config: StartConfig, folder: Path, progress: Progress) -> Start:
    """Return the starting point in a folder; it is made where it is not there yet, which takes a quarter of an hour.

    Raises:
        ConfigurationError: the folder holds one that was made with other settings.
        StoreError: the folder cannot be written, or its record not read.
    """
    record, begun = folder / _RECORD, folder / f"{_RECORD}.partial"
    asked = json.loads(json.dumps(asdict(config)))
    for path in (record, begun):
        if path.exists() and (found := _recorded(path)) != asked:
            raise ConfigurationError(
                f"{folder} holds a starting point that was made with {_difference(found, asked)}: name another folder"
            )
    if record.exists():
        return Start(folder)
    split = draw_split(config.seed, train=config.train, test=config.test, foreign=config.foreign)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        begun.write_text(json.dumps(asked, indent=1) + "\n", encoding="utf-8")
        model, tokenizer = _taught(config, folder / POLICY, split, progress)
        progress("sampling from the starting policy", 0, 1)
        sampling = SamplingConfig(POLICY, config.rollouts, 1.0, 1.0, LONGEST, config.seed)
        sampled = sealed_verdicts(sample_groups(model, tokenizer, split.train, sampling), Verifiers())
        for name, groups in ((EXPERIENCE, sampled), (TEST, split.test), (FOREIGN, split.foreign)):
            write_groups(folder / name, groups)
        begun.replace(record)
    except OSError as error:
        raise StoreError(f"cannot write the starting point to {folder}: {error}; free space") from error
    progress("sampling from the starting policy", 1, 1)
    return Start(folder)


def _recorded(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise StoreError(f"{path} cannot be read ({error}): delete its folder, and all is made again") from error


def _taught(config: StartConfig, folder: Path, split: TestbedSplit, progress: Progress) -> tuple[Any, Any]:
    if not folder.exists():
        model, tokenizer = teach(config.policy, split.texts, progress)
        save_policy(folder, model, tokenizer, config.policy)
    return load_policy(folder)


def _difference(found: Any, asked: Any, name: str = "") -> str:
    """Name the first setting that differs."""
    if isinstance(found, dict) and isinstance(asked, dict):
        for key in asked:
            if found.get(key) != asked[key]:
                return _difference(found.get(key), asked[key], f"{name}.{key}".lstrip("."))
    return f"{name}={found!r}, not {asked!r}"
