"""TRL: sample the rollouts of training with the laboratory's decoder.

A prompt is prefilled once for its whole group, finished rollouts leave the batch, and every group has random numbers of
its own (`lab.decoding.decoder`). What is sampled follows the policy's own distribution, as with TRL's generation.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from memreward.policy.settings import SamplingConfig
from memreward.types import ConfigurationError, MissingExtraError, content_hash

if TYPE_CHECKING:
    from lab.decoding.decoder import Prompt
    from memreward.policy.sampler import Sample


class GroupRollouts:
    """A `rollout_func` for TRL's `GRPOTrainer`, with the trainer's temperature, nucleus, length limit and precision.

    The model samples without dropout. What a group samples depends on seed, step and prompt alone, hence not on the
    number of processes or on the other groups (but for rounding). Two groups of one prompt in one step differ.

    TRL gets no log-probabilities, as from its own generation: it takes the policy's, or computes them anew. Reward
    functions get "token_logprobs" of the sampled tokens, the stop token among them, at temperature 1 and without a
    nucleus, and "truncated", whether the length limit ended a rollout.

    Raises:
        ConfigurationError: when called, if the trainer asks for a kind of sampling that this decoder has not.
    """

    def __init__(self, seed: int = 0, *, groups_per_batch: int = 64) -> None:
        self.seed = seed
        self.groups_per_batch = groups_per_batch
        self._calls = ("", 0)

    def __call__(self, prompts: Sequence[Any], trainer: Any) -> dict[str, Any]:
        """Return "prompt_ids", "completion_ids", the columns for reward functions, n each, and "logprobs" as None.

        Args:
            prompts: n texts or chats of this process, each as often in a row as it has rollouts here.
        """
        if find_spec("trl") is None:
            raise MissingExtraError("trl", "train", "training with TRL")
        from lab.decoding.decoder import GroupDecoder

        _refuse_other_sampling(trainer)
        tokens = _tokens(prompts, trainer)
        groups = self._groups(tokens, trainer)
        with _sampling_model(trainer) as model:
            sampler = GroupDecoder(
                self._config(trainer),
                groups_per_batch=self.groups_per_batch,
                model=model,
                tokenizer=trainer.processing_class,
                stop_tokens=trainer.eos_token_ids,
            )
            sampled = {group.id: group.samples for group in sampler.sample(groups)}
        samples: list[Sample] = [sample for prompt in groups for sample in sampled[prompt.id]]
        return {
            "prompt_ids": [list(prompt) for prompt in tokens],
            "completion_ids": [list(sample.tokens) for sample in samples],
            "logprobs": None,
            "token_logprobs": [list(sample.token_logprobs or ()) for sample in samples],
            "truncated": [bool(sample.truncated) for sample in samples],
        }

    def _groups(self, tokens: Sequence[tuple[int, ...]], trainer: Any) -> list[Prompt]:
        """One prompt a group, or the part of it that this process has, in the order of the rows."""
        from lab.decoding.decoder import Prompt, common_prefix

        size = _group_size(trainer)
        first = trainer.accelerator.process_index * len(tokens)
        call = self._name_call(trainer)
        shared = common_prefix(tokens) if tokens else 0
        runs: list[tuple[tuple[int, ...], list[int]]] = []
        for place, prompt in enumerate(tokens, start=first):
            if not runs or runs[-1][0] != prompt or place % size == 0:
                runs.append((prompt, []))
            runs[-1][1].append(place % size)
        seen: dict[tuple[int, ...], int] = {}
        groups = []
        for prompt, rows in runs:
            seen[prompt] = seen.get(prompt, 0) + 1
            identity = f"{call} {content_hash(repr(prompt))} {seen[prompt]}"
            groups.append(Prompt(identity, prompt, shared if len(runs) > 1 else 0, tuple(rows)))
        return groups

    def _name_call(self, trainer: Any) -> str:
        """Names this call: mode, step, and the number of calls in this step before."""
        step = f"{'train' if trainer.model.training else 'eval'} {trainer.state.global_step}"
        self._calls = (step, self._calls[1] + 1 if self._calls[0] == step else 0)
        return " ".join(map(str, self._calls))

    def _config(self, trainer: Any) -> SamplingConfig:
        return SamplingConfig(
            "the policy",
            rollouts=_group_size(trainer),
            temperature=trainer.temperature,
            top_p=trainer.top_p,
            max_new_tokens=trainer.max_completion_length,
            seed=self.seed,
        )


def group_trainer(kind: type[Any], seed: int, **given: Any) -> Callable[..., Any]:
    """Return what makes a `GRPOTrainer` of a `kind` that samples with this decoder; `given` overrules its arguments."""

    def make(**asked: Any) -> Any:
        with warnings.catch_warnings():
            # TRL calls the hook experimental at each start.
            warnings.filterwarnings("ignore", message="You are using 'rollout_func'")
            return kind(**{**asked, **given, "rollout_func": GroupRollouts(seed)})

    return make


def _group_size(trainer: Any) -> int:
    return int(trainer.num_generations if trainer.model.training else trainer.num_generations_eval)


@contextmanager
def _sampling_model(trainer: Any) -> Iterator[Any]:
    """The policy with its present weights, unwrapped, without dropout; afterwards as it was."""
    from trl.models.utils import unwrap_model_for_generation

    with unwrap_model_for_generation(
        trainer.model_wrapped,
        trainer.accelerator,
        gather_deepspeed3_params=trainer.args.ds3_gather_for_generation,
        gradient_checkpointing_kwargs=trainer.args.gradient_checkpointing_kwargs,
    ) as model:
        modes = [(module, module.training) for module in model.modules()]
        try:
            yield model
        finally:
            for module, training in modes:
                module.training = training


def _tokens(prompts: Sequence[Any], trainer: Any) -> list[tuple[int, ...]]:
    """Prompts in tokens as TRL makes them; equal ones in a row once."""
    tokens: list[tuple[int, ...]] = []
    for place, prompt in enumerate(prompts):
        if place and prompt == prompts[place - 1]:
            tokens.append(tokens[-1])
        elif isinstance(prompt, str):
            tokens.append(tuple(trainer.processing_class(text=prompt)["input_ids"]))
        else:
            chat = trainer.processing_class.apply_chat_template(
                prompt,
                chat_template=trainer.chat_template,
                add_generation_prompt=True,
                tokenize=True,
                return_dict=True,
                **trainer.chat_template_kwargs,
            )
            tokens.append(tuple(chat["input_ids"]))
    return tokens


def _refuse_other_sampling(trainer: Any) -> None:
    asked = {
        "use_vllm": trainer.use_vllm,
        "tools": bool(trainer.tools),
        "FSDP": trainer.is_fsdp_enabled,
        "top_k": bool(trainer.top_k),
        "min_p": bool(trainer.min_p),
        "repetition_penalty": trainer.repetition_penalty != 1.0,
        "generation_kwargs": bool(trainer.args.generation_kwargs),
    }
    if refused := [name for name, wanted in asked.items() if wanted]:
        raise ConfigurationError(
            f"GroupRollouts cannot sample with {', '.join(refused)}: leave it out of the trainer's settings, or "
            "give the trainer no rollout_func"
        )
