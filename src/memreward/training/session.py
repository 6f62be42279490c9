"""A training from its configuration to the trained policy, which goes on where an earlier one was interrupted."""

import json
import shutil
from collections.abc import Callable
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

from memreward.evaluation.parts import installed_versions
from memreward.evaluation.tables import flat
from memreward.integrations.trl import questions
from memreward.memory import ExperienceMemory
from memreward.temporary import write_whole
from memreward.training.checkpoint import Interruption, keeper, resume_from, step_of_checkpoint
from memreward.training.config import SENTENCE_MODEL, ChoiceRule, TrainConfig
from memreward.training.history import LoggedStep, history, mean_reward
from memreward.training.prepare import MEMORY, Prepared, prepare
from memreward.training.run import make_trainer
from memreward.types import ConfigurationError, Encoder, MemRewardError, Progress, StoreError, silent

POLICY = "policy"
"""Folder of the trained policy inside the output."""
_RECORD = "config.json"
_TRLS = ("report_to", "save_total_limit", "save_steps", "save_strategy")
_MAY_CHANGE = {"output", "ask", "grpo.steps", *(f"trl.{name}" for name in _TRLS)}
_NEWEST = 10
_PACKAGES = ("memreward", "torch", "transformers", "trl", "numpy")


def train(
    config: TrainConfig,
    *,
    encoder: str | Encoder = SENTENCE_MODEL,
    progress: Progress = silent,
    on_row: Callable[[LoggedStep], None] | None = None,
    on_wait: Callable[[ExperienceMemory], None] | None = None,
    trainer: Callable[..., Any] | None = None,
    choose: ChoiceRule | None = None,
) -> dict[str, Any]:
    """Train, or go on training, as configured; returns figures of it as JSON values.

    `on_wait` is given memory once, when the first question waits for a person, where `config.ask` is set. Raises
    ConfigurationError where the output was begun with other settings, KeyboardInterrupt where somebody interrupted (a
    checkpoint was written), MemRewardError where a question file, model, budget or setting cannot be used.
    """
    config.check_complete()
    folder = Path(config.output)
    _refuse_unreadable(config.sampling.model)
    args = config.grpo.to_trl(config.sampling, folder, config.trl)
    with args.main_process_first(local=False):
        began = _record(folder, config, write=args.process_index == 0)
        try:
            prepared = prepare(config, encoder, progress, choose=choose)
        except MemRewardError:
            if began and _nothing_done(folder):
                (folder / _RECORD).unlink()  # other settings may be tried
            raise
        checkpoint = resume_from(folder, prepared.reward)
    if config.ask:
        prepared.reward.ask(None if on_wait is None else partial(on_wait, prepared.memory))
    done = 0 if checkpoint is None else step_of_checkpoint(checkpoint)
    if done < config.grpo.steps or not (folder / POLICY).exists():
        done = _run(config, prepared, checkpoint, on_row, trainer)
    rows = [value for row in history(folder)[-_NEWEST:] if (value := mean_reward(row)) is not None]
    return {
        "output": folder,
        "policy": folder / POLICY,
        "steps": done,
        "reward": sum(rows) / len(rows) if rows else None,
        "questions": len(prepared.groups),
        "labelled_queries": len(prepared.labelled),
        "alarms": len(prepared.reward.monitor.alarms),
        "ledger": prepared.memory.ledger.totals(),
    }


def _refuse_unreadable(model: str) -> None:
    """Raise ConfigurationError for what is no model; a folder without a configuration needs no transformers to say."""
    if Path(model).is_dir() and not (Path(model) / "config.json").exists():
        raise _unreadable(model, "the folder has no config.json")
    from transformers import AutoConfig

    try:
        AutoConfig.from_pretrained(model)
    except (OSError, ValueError, KeyError) as error:
        raise _unreadable(model, str(error).strip().partition("\n")[0]) from error


def _unreadable(model: str, why: str) -> ConfigurationError:
    return ConfigurationError(
        f"model={model!r} cannot be read: {why}; name a checkpoint's folder, or a model of the hub"
    )


def leave_group() -> None:
    """End the group of processes that `train` joins under torchrun, or threads of gloo may abort the process."""
    import torch.distributed as dist

    if dist.is_available() and dist.is_initialized():
        dist.destroy_process_group()


def _run(
    config: TrainConfig,
    prepared: Prepared,
    checkpoint: Path | None,
    on_row: Callable[[LoggedStep], None] | None,
    kind: Callable[..., Any] | None,
) -> int:
    """Train to the last step, and write the policy; returns the steps that were made."""
    folder, interruption = Path(config.output), Interruption()
    trainer = make_trainer(
        config.sampling.model,
        None,
        prepared.reward,
        questions(prepared.groups, templates=config.templates),
        config.grpo,
        config.sampling,
        folder,
        trl=config.trl,
        callbacks=[keeper(folder, interruption)],
        on_row=on_row,
        trainer=kind,
    )
    with interruption.heeded():
        trainer.train(resume_from_checkpoint=None if checkpoint is None else str(checkpoint))
    if interruption.requested and trainer.state.global_step < config.grpo.steps:
        raise KeyboardInterrupt
    unfinished = folder / f"{POLICY}.partial"
    trainer.save_model(str(unfinished))
    if trainer.is_world_process_zero():
        shutil.rmtree(folder / POLICY, ignore_errors=True)  # of a shorter training that went on
        unfinished.replace(folder / POLICY)
    return int(trainer.state.global_step)


def _nothing_done(folder: Path) -> bool:
    """Whether no rollout was sampled, nothing fitted and no label read."""
    made = {path.name for path in folder.iterdir()} - {_RECORD, MEMORY}
    return not made and not ExperienceMemory.open(folder / MEMORY).ledger.totals()["queries"]


def _record(folder: Path, config: TrainConfig, *, write: bool) -> bool:
    """Refuse to go on with what was begun differently; of several processes one writes what is asked for.

    Returns whether this call began it.
    """
    path = folder / _RECORD
    asked: dict[str, Any] = json.loads(json.dumps(asdict(config)))
    if path.exists():
        try:
            begun = flat(json.loads(path.read_text(encoding="utf-8"))["settings"])
        except (OSError, ValueError, KeyError) as error:
            raise StoreError(f"{path} cannot be read ({error!r}): restore it, or choose another output") from error
        for name, value in flat(asked).items():
            if name not in _MAY_CHANGE and begun.get(name, value) != value:
                raise ConfigurationError(
                    f"{folder} was begun with {name}={begun[name]!r}, now it is {value!r}: go on as it was begun, or "
                    "choose another output"
                )
    if not write:
        return False
    began = not path.exists()
    versions = installed_versions(_PACKAGES)
    write_whole(path, json.dumps({"settings": asked, "versions": versions}, indent=1) + "\n")
    return began
