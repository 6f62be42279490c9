"""Settings of a training with GRPO, and their translation into TRL's."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from memreward.types import ConfigurationError, MissingExtraError

if TYPE_CHECKING:
    from trl.trainer.grpo_config import GRPOConfig


@dataclass(frozen=True)
class LoraConfig:
    """Low-rank adapters in place of training all weights; their scale is twice the rank.

    Attributes:
        rank: Rank of the adapters; 0 trains all weights.
        targets: Modules that get an adapter; none stands for all linear layers but the output's.
    """

    rank: int = 0
    targets: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.rank < 0:
            raise ConfigurationError(f"lora rank={self.rank} must be at least 0")

    def to_peft(self) -> Any:
        if not self.rank:
            return None
        try:
            from peft import LoraConfig as PeftLora
        except ImportError as error:
            raise MissingExtraError("peft", "train", "training low-rank adapters") from error
        return PeftLora(
            r=self.rank,
            lora_alpha=2 * self.rank,
            target_modules=list(self.targets) or "all-linear",
            task_type="CAUSAL_LM",
        )


@dataclass(frozen=True)
class GrpoSettings:
    """How a policy is trained. Defaults are the paper's (method.md, section 2) where it says them.

    The learning rate is constant, tokens are sampled from the whole distribution, and the loss is TRL's default. Who
    wants another trainer makes it himself and gives it the reward: `memreward.integrations.trl`.

    Attributes:
        steps: Optimisation steps.
        groups_per_step: Queries a step, over all devices.
        rollouts: Rollouts a query, G >= 2.
        max_new_tokens: Length limit of a rollout in tokens.
        temperature: Divides the logits in sampling; above 0.
        learning_rate: Learning rate of AdamW.
        kl: Coefficient of the KL divergence from the starting policy; 0 loads no second model.
        micro_batch: Rollouts a forward and backward pass on each device; 0 takes all of the step's at once.
        gradient_checkpointing: Compute activations twice to keep fewer of them.
        precision: Number format of computation; "auto" is bfloat16 on CUDA and float32 elsewhere. Weights that are
            trained are float32; those below adapters are as computed.
        sampler: What samples the rollouts: "trl" is TRL's own generation; "vllm" is vLLM in the same process and on the
            same GPU.
        vllm_memory: Share of the GPU's memory that vLLM takes, in (0, 1).
        save_every: Steps between checkpoints; 0 writes none.
        seed: Seeds the order of the questions, sampling and new weights.
        lora: Low-rank adapters.
    """

    steps: int = 410
    groups_per_step: int = 128
    rollouts: int = 8
    max_new_tokens: int = 1024
    temperature: float = 1.0
    learning_rate: float = 1e-6
    kl: float = 0.001
    micro_batch: int = 0
    gradient_checkpointing: bool = False
    precision: Literal["auto", "float32", "bfloat16"] = "auto"
    sampler: Literal["trl", "vllm"] = "trl"
    vllm_memory: float = 0.3
    save_every: int = 20
    seed: int = 0
    lora: LoraConfig = field(default_factory=LoraConfig)

    def __post_init__(self) -> None:
        for name, least in (("steps", 1), ("groups_per_step", 1), ("rollouts", 2), ("max_new_tokens", 1)):
            if getattr(self, name) < least:
                raise ConfigurationError(f"{name}={getattr(self, name)} must be at least {least}")
        for name in ("kl", "micro_batch", "save_every"):
            if getattr(self, name) < 0:
                raise ConfigurationError(f"{name}={getattr(self, name)} must be at least 0")
        for name in ("temperature", "learning_rate"):
            if not getattr(self, name) > 0:
                raise ConfigurationError(f"{name}={getattr(self, name)} must be above 0")
        if not 0 < self.vllm_memory < 1:
            raise ConfigurationError(f"vllm_memory={self.vllm_memory} must lie in (0, 1)")

    @property
    def computes_in(self) -> str:
        if self.precision != "auto":
            return self.precision
        return "bfloat16" if _on_cuda() else "float32"

    def to_trl(self, folder: str | Path) -> GRPOConfig:
        """Return TRL's configuration of this training.

        Raises:
            ConfigurationError: the step's rollouts cannot be cut into micro batches for all devices.
            MissingExtraError: TRL is not installed.
        """
        try:
            from trl.trainer.grpo_config import GRPOConfig
        except ImportError as error:
            raise MissingExtraError("trl", "train", "training with GRPO") from error
        micro, accumulation = self._batches()
        cuda, half = _on_cuda(), self.computes_in == "bfloat16"
        checkpointing: dict[str, Any] = {_checkpointing(GRPOConfig): self.gradient_checkpointing}
        return GRPOConfig(
            output_dir=str(folder),
            max_steps=self.steps,
            per_device_train_batch_size=micro,
            gradient_accumulation_steps=accumulation,
            num_generations=self.rollouts,
            max_completion_length=self.max_new_tokens,
            temperature=self.temperature,
            learning_rate=self.learning_rate,
            lr_scheduler_type="constant",
            beta=self.kl,
            model_init_kwargs={"dtype": self.computes_in if self.lora.rank else "float32"},
            **checkpointing,
            bf16=half,
            use_cpu=not cuda,
            dataloader_pin_memory=cuda,
            use_vllm=self.sampler == "vllm",
            vllm_gpu_memory_utilization=self.vllm_memory,
            save_strategy="steps" if self.save_every else "no",
            save_steps=self.save_every or self.steps,
            logging_steps=1,
            seed=self.seed,
            # The order of the questions is ours (memreward.training.run), one epoch long.
            shuffle_dataset=False,
            report_to="none",
            disable_tqdm=True,
        )

    def _batches(self) -> tuple[int, int]:
        """Rollouts a pass and device, and passes a step."""
        devices = int(os.environ.get("WORLD_SIZE", "1"))
        rollouts = self.groups_per_step * self.rollouts
        micro = self.micro_batch or rollouts // devices
        if not micro or rollouts % (micro * devices):
            raise ConfigurationError(
                f"{self.groups_per_step} queries x {self.rollouts} rollouts cannot be cut into micro batches of "
                f"{micro} on {devices} device(s): choose micro_batch so that it, times the devices, divides {rollouts}"
            )
        return micro, rollouts // (micro * devices)


def _on_cuda() -> bool:
    import torch

    return torch.cuda.is_available()


def _checkpointing(config: Any) -> str:
    """What transformers calls gradient checkpointing: its name has changed."""
    new = "activation_checkpointing"
    return new if new in config.__dataclass_fields__ else "gradient_checkpointing"
