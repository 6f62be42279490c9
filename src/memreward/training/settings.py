"""Settings of a training with GRPO, and their translation into TRL's."""

from __future__ import annotations

import difflib
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from memreward.policy.settings import SamplingConfig
from memreward.types import ConfigurationError, MissingExtraError

if TYPE_CHECKING:
    from trl.trainer.grpo_config import GRPOConfig

_OURS = {
    "output_dir": "set output",
    "max_steps": "set steps",
    "num_train_epochs": "set steps",
    "num_generations": "set rollouts",
    "gradient_accumulation_steps": "it follows from groups_per_step, rollouts and per_device_train_batch_size",
    "generation_batch_size": "set groups_per_step",
    "steps_per_generation": "each step samples anew",
    "max_completion_length": "set max_new_tokens",
    "temperature": "set temperature",
    "top_p": "set top_p",
    "seed": "set seed",
    "shuffle_dataset": "the seed decides the order of the questions",
    "scale_rewards": "the arm decides it: an expected advantage may only be centred",
    "reward_weights": "there is one reward",
}
"""What of TRL's configuration is decided here, and what to do instead."""
LEARNING_RATE, KL = 1e-6, 0.001
"""The paper's (method.md, section 2)."""
SAVE_STEPS = 20
_CHECKPOINTING = "gradient_checkpointing"
"""Its old name, taken whatever transformers calls it."""
_FEWEST_CHECKPOINTS = 2
"""Of which one is whole while the other is written."""


@dataclass(frozen=True)
class GrpoSettings:
    """How a policy is trained. Defaults are the paper's (method.md, section 2) where it says them.

    What is sampled is a `SamplingConfig`; all else is TRL's own, by the names of `trl.GRPOConfig`.

    Attributes:
        steps: Optimisation steps.
        groups_per_step: Queries a step, over all devices.
        lora_rank: Rank of low-rank adapters on all linear layers, whose scale is twice the rank; 0 trains all weights.
    """

    steps: int = 410
    groups_per_step: int = 128
    lora_rank: int = 0

    def __post_init__(self) -> None:
        for name, bound in {"steps": 1, "groups_per_step": 1, "lora_rank": 0}.items():
            if getattr(self, name) < bound:
                raise ConfigurationError(f"{name}={getattr(self, name)} must be at least {bound}")

    def to_peft(self) -> Any:
        if not self.lora_rank:
            return None
        try:
            from peft import LoraConfig
        except ImportError as error:
            raise MissingExtraError("peft", "train", "training low-rank adapters") from error
        return LoraConfig(
            r=self.lora_rank, lora_alpha=2 * self.lora_rank, target_modules="all-linear", task_type="CAUSAL_LM"
        )

    def to_trl(self, sampling: SamplingConfig, folder: str | Path, trl: Mapping[str, Any] | None = None) -> GRPOConfig:
        """Return TRL's configuration of this training, with further settings by its own names.

        Unless told, learning rate and weight of the KL divergence (beta; 0 loads no second model) are the paper's, the
        rate constant; computation is bfloat16 on CUDA and float32 elsewhere, a pass takes all of a step's rollouts at
        once, and a checkpoint is written every 20 steps, of which the newest two are kept. Weights that are trained are
        float32; those below adapters are as computed. Raises ConfigurationError where a name is none of TRL's or is
        decided here, TRL refuses a value, or the step's rollouts cannot be cut into passes for all devices.
        """
        try:
            from trl.trainer.grpo_config import GRPOConfig
        except ImportError as error:
            raise MissingExtraError("trl", "train", "training with GRPO") from error
        import torch
        from transformers.integrations.integration_utils import get_available_reporting_integrations as installed

        trl, cuda = trl or {}, torch.cuda.is_available()
        _refuse_names(trl, GRPOConfig)
        half = bool(trl.get("bf16", cuda))
        if (trl.get("save_total_limit") or _FEWEST_CHECKPOINTS) < _FEWEST_CHECKPOINTS:
            raise ConfigurationError("trl: save_total_limit=1 may leave no whole checkpoint: give 2 or more")
        renamed = "activation_checkpointing" in GRPOConfig.__dataclass_fields__
        checkpointing = "activation_checkpointing" if renamed else _CHECKPOINTING
        given = {name: value for name, value in trl.items() if name != _CHECKPOINTING}
        ours: dict[str, Any] = {
            "output_dir": str(folder),
            "max_steps": self.steps,
            "num_generations": sampling.rollouts,
            "max_completion_length": sampling.max_new_tokens,
            "temperature": sampling.temperature,
            "top_p": sampling.top_p,
            "learning_rate": LEARNING_RATE,
            "lr_scheduler_type": "constant",
            "beta": KL,
            "model_init_kwargs": {"dtype": "bfloat16" if half and self.lora_rank else "float32"},
            "bf16": half,
            "use_cpu": not cuda,
            "dataloader_pin_memory": cuda,
            "save_steps": SAVE_STEPS,
            "save_total_limit": _FEWEST_CHECKPOINTS,
            "logging_steps": 1,
            "seed": sampling.seed,
            # The order of the questions is ours (memreward.training.run), one epoch long.
            "shuffle_dataset": False,
            "report_to": "none",
            "disable_tqdm": True,
            checkpointing: trl.get(_CHECKPOINTING, False),
        }
        try:
            made = GRPOConfig(
                **{**ours, **given, **self._batches(sampling.rollouts, trl.get("per_device_train_batch_size"))}
            )
        except (TypeError, ValueError) as error:
            raise ConfigurationError(f"TRL refuses the settings: {error}; change them in [trl] or by --trl") from error
        trackers: Any = made.report_to  # a list, once made
        for tracker in set(trackers) - set(installed()):  # type: ignore[no-untyped-call, unused-ignore]
            raise ConfigurationError(f"trl: report_to={tracker!r} is not a tracker that is installed here: install it")
        return made

    def _batches(self, group: int, micro: int | None = None) -> dict[str, int]:
        devices = int(os.environ.get("WORLD_SIZE", "1"))
        rollouts = self.groups_per_step * group
        micro = micro or rollouts // devices
        if not micro or rollouts % (micro * devices):
            raise ConfigurationError(
                f"{self.groups_per_step} queries x {group} rollouts cannot be cut into passes of {micro} on "
                f"{devices} device(s): choose per_device_train_batch_size of [trl] so that it, times the devices, "
                f"divides {rollouts}"
            )
        return {"per_device_train_batch_size": micro, "gradient_accumulation_steps": rollouts // (micro * devices)}


def _refuse_names(trl: Mapping[str, Any], config: type[Any]) -> None:
    for name in trl:
        if name in _OURS:
            raise ConfigurationError(f"trl: {name} is not TRL's to decide here: {_OURS[name]}")
        if name not in config.__dataclass_fields__:
            near = difflib.get_close_matches(name, config.__dataclass_fields__, n=1)
            hint = f"did you mean {near[0]!r}?" if near else "its names are those of trl.GRPOConfig"
            raise ConfigurationError(f"trl: {name!r} is not a setting of TRL's; {hint}")
