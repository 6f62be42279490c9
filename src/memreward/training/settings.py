"""Settings of a training with GRPO, and their translation into TRL's."""

from __future__ import annotations

import difflib
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

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
    "learning_rate": "set learning_rate",
    "beta": "set kl",
    "save_steps": "set save_every",
    "save_strategy": "set save_every",
    "seed": "set seed",
    "shuffle_dataset": "the seed decides the order of the questions",
    "scale_rewards": "the arm decides it: an expected advantage may only be centred",
    "reward_weights": "there is one reward",
}
"""What of TRL's configuration is decided here, and what to do instead."""
_CHECKPOINTING = "gradient_checkpointing"
"""Its old name, taken whatever transformers calls it."""
_FEWEST_CHECKPOINTS = 2
"""Of which one is whole while the other is written."""


@dataclass(frozen=True)
class GrpoSettings:
    """How a policy is trained. Defaults are the paper's (method.md, section 2) where it says them.

    The learning rate is constant, tokens are sampled from the whole distribution, and the loss is TRL's default. All
    else is TRL's own, by the names of `trl.GRPOConfig`.

    Attributes:
        steps: Optimisation steps.
        groups_per_step: Queries a step, over all devices.
        rollouts: Rollouts a query, G >= 2.
        max_new_tokens: Length limit of a rollout in tokens.
        temperature: Divides the logits in sampling; above 0.
        learning_rate: Learning rate of AdamW.
        kl: Coefficient of the KL divergence from the starting policy; 0 loads no second model.
        lora_rank: Rank of low-rank adapters on all linear layers, whose scale is twice the rank; 0 trains all weights.
        save_every: Steps between checkpoints; 0 writes none.
        seed: Seeds the order of the questions, sampling and new weights.
    """

    steps: int = 410
    groups_per_step: int = 128
    rollouts: int = 8
    max_new_tokens: int = 1024
    temperature: float = 1.0
    learning_rate: float = 1e-6
    kl: float = 0.001
    lora_rank: int = 0
    save_every: int = 20
    seed: int = 0

    def __post_init__(self) -> None:
        least = {"steps": 1, "groups_per_step": 1, "rollouts": 2, "max_new_tokens": 1}
        for name, bound in {**least, "kl": 0, "lora_rank": 0, "save_every": 0}.items():
            if getattr(self, name) < bound:
                raise ConfigurationError(f"{name}={getattr(self, name)} must be at least {bound}")
        for name in ("temperature", "learning_rate"):
            if not getattr(self, name) > 0:
                raise ConfigurationError(f"{name}={getattr(self, name)} must be above 0")

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

    def to_trl(self, folder: str | Path, trl: Mapping[str, Any] | None = None) -> GRPOConfig:
        """Return TRL's configuration of this training, with further settings by its own names.

        Unless told, computation is bfloat16 on CUDA and float32 elsewhere, a pass takes all of a step's rollouts at
        once, and the newest two checkpoints are kept. Weights that are trained are float32; those below adapters are as
        computed. Raises ConfigurationError where a name is none of TRL's or is decided here, TRL refuses a value, or
        the step's rollouts cannot be cut into passes for all devices.
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
            "num_generations": self.rollouts,
            "max_completion_length": self.max_new_tokens,
            "temperature": self.temperature,
            "learning_rate": self.learning_rate,
            "lr_scheduler_type": "constant",
            "beta": self.kl,
            "model_init_kwargs": {"dtype": "bfloat16" if half and self.lora_rank else "float32"},
            "bf16": half,
            "use_cpu": not cuda,
            "dataloader_pin_memory": cuda,
            "save_strategy": "steps" if self.save_every else "no",
            "save_steps": self.save_every or self.steps,
            "save_total_limit": _FEWEST_CHECKPOINTS,
            "logging_steps": 1,
            "seed": self.seed,
            # The order of the questions is ours (memreward.training.run), one epoch long.
            "shuffle_dataset": False,
            "report_to": "none",
            "disable_tqdm": True,
            checkpointing: trl.get(_CHECKPOINTING, False),
        }
        try:
            made = GRPOConfig(**{**ours, **given, **self._batches(trl.get("per_device_train_batch_size"))})
        except (TypeError, ValueError) as error:
            raise ConfigurationError(f"TRL refuses the settings: {error}; change them in [trl] or by --trl") from error
        trackers: Any = made.report_to  # a list, once made
        for tracker in set(trackers) - set(installed()):  # type: ignore[no-untyped-call, unused-ignore]
            raise ConfigurationError(f"trl: report_to={tracker!r} is not a tracker that is installed here: install it")
        return made

    def _batches(self, micro: int | None = None) -> dict[str, int]:
        devices = int(os.environ.get("WORLD_SIZE", "1"))
        rollouts = self.groups_per_step * self.rollouts
        micro = micro or rollouts // devices
        if not micro or rollouts % (micro * devices):
            raise ConfigurationError(
                f"{self.groups_per_step} queries x {self.rollouts} rollouts cannot be cut into passes of {micro} on "
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
