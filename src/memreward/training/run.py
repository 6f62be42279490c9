"""The one place that trains: from a model, a reward and questions to a TRL trainer that is ready to run."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from memreward.integrations.trl import RewardFunction, callback
from memreward.policy.settings import SamplingConfig
from memreward.reward.policy import PolicyReward
from memreward.training.history import LoggedStep, recorder
from memreward.training.settings import GrpoSettings
from memreward.types import ConfigurationError, MissingExtraError

if TYPE_CHECKING:
    from transformers import PreTrainedModel, TrainerCallback
    from trl.trainer.grpo_trainer import GRPOTrainer


def make_trainer(
    model: str | Path | PreTrainedModel,
    tokenizer: Any,
    reward: PolicyReward,
    questions: Any,
    settings: GrpoSettings,
    sampling: SamplingConfig,
    folder: str | Path,
    *,
    trl: Mapping[str, Any] | None = None,
    callbacks: Iterable[TrainerCallback] = (),
    on_row: Callable[[LoggedStep], None] | None = None,
    trainer: Callable[..., GRPOTrainer] | None = None,
) -> GRPOTrainer:
    """Return a trainer whose `train()` trains, and keeps `history` in the folder.

    Steps see whole groups, each query at most once a step, in an order that settings and questions alone decide.

    Args:
        model: Folder, name on the hub, or a loaded model, which must remember where it was loaded from if TRL's beta is
            above 0: the starting policy is loaded again.
        sampling: What is sampled, but for its model.
        questions: A `datasets.Dataset`, see `memreward.integrations.trl.questions`.
        trl: Further settings of TRL's `GRPOConfig`, by its own names.
        callbacks: Further ones; they are called after the reward's.
        trainer: Makes the trainer from the arguments of `GRPOTrainer`; None takes TRL's.
    """
    try:
        from transformers import PrinterCallback
        from trl.trainer.grpo_trainer import GRPOTrainer
    except ImportError as error:
        raise MissingExtraError(error.name or "trl", "train", "training with GRPO") from error
    args = settings.to_trl(sampling, folder, trl)
    args.scale_rewards = "none" if reward.pays_advantages else "group"  # an advantage is only centred
    if not isinstance(model, str | Path):
        args.model_init_kwargs = None  # TRL warns of what a loaded model has no use for
    function: Any = RewardFunction(reward)
    made: GRPOTrainer = (trainer or _telling(GRPOTrainer))(
        model=str(model) if isinstance(model, Path) else model,
        reward_funcs=function,
        args=args,
        train_dataset=ordered(questions, settings, sampling.seed),
        processing_class=tokenizer,
        callbacks=[recorder(folder, on_row), callback(function), *callbacks],
        peft_config=settings.to_peft(),
    )
    made.remove_callback(PrinterCallback)
    return made


def _telling(kind: type[GRPOTrainer]) -> type[GRPOTrainer]:
    """Return TRL's trainer, which also gives rewards the log-probabilities that vLLM has: TRL 1.16 does not."""

    class Telling(kind):  # type: ignore[misc, valid-type, unused-ignore]
        def _generate(self, prompts: Any) -> Any:
            made = super()._generate(prompts)
            logprobs, columns = made[4], made[5]
            if logprobs is not None:
                columns["token_logprobs"] = [None if None in tokens else tokens for tokens in logprobs]
            return made

    return Telling


def ordered(questions: Any, settings: GrpoSettings, seed: int) -> Any:
    """Return the questions of all steps, in order, as one long data set; each pass over them has an order of its own.

    What is left of a pass after its last whole step is left out. A longer training begins with the order of a shorter
    one. Raises ConfigurationError where there are fewer questions than a step takes.
    """
    size = settings.groups_per_step
    steps_a_pass = len(questions) // size
    if not steps_a_pass:
        raise ConfigurationError(
            f"{len(questions)} questions are fewer than the {size} of a step: lower --groups-per-step, or name more"
        )
    passes = -(-settings.steps // steps_a_pass)
    orders = [
        np.random.default_rng([seed, number]).permutation(len(questions))[: steps_a_pass * size]
        for number in range(passes)
    ]
    return questions.select(np.concatenate(orders)[: settings.steps * size])
