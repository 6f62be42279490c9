"""verl: a reward manager that knows each rollout's group by its uid, and a plain function for those who set only that.

Importing this module registers the manager as "memreward"; verl does so by itself, through the entry point
`verl.plugins`. Nothing of verl is imported by anything else here.
"""

import asyncio
from collections.abc import Mapping
from typing import Any

import numpy as np
from verl.experimental.reward_loop.reward_manager import register
from verl.experimental.reward_loop.reward_manager.naive import NaiveRewardManager

from memreward.integrations.client import Scored, ready_client
from memreward.integrations.verl_rows import asked_of, check_algorithm, checked_kwargs, question_of_row

NAME = "memreward"


@register(NAME)
class MemRewardManager(NaiveRewardManager):  # type: ignore[misc]
    """Asks a service for the reward of each rollout; a group may be split over all reward workers.

    Settings are verl's: `reward.reward_manager.name=memreward`, `algorithm.norm_adv_by_std_in_grpo=False`, and
    `+reward.reward_kwargs.domain=math`. Rows whose `extra_info` has another split than "train" are validation: they are
    scored by `compute_score`, as without this manager. When it is made it raises ConfigurationError if verl would
    standardise advantages again, EndpointError if the service is not ready.
    """

    def __init__(self, config: Any, tokenizer: Any, compute_score: Any, **more: Any) -> None:
        super().__init__(config, tokenizer, compute_score, **more)
        check_algorithm(config.algorithm)
        kwargs = checked_kwargs(config.reward.get("reward_kwargs", {}))
        self.domain: str = kwargs["domain"]
        self.size = int(config.actor_rollout_ref.rollout.n)
        self.client = ready_client(kwargs.get("url"), float(kwargs.get("deadline", 600.0)))

    async def run_single(self, data: Any) -> dict[str, Any]:
        item = data[-1:][0]
        row = item.non_tensor_batch
        extra = row.get("extra_info")
        if isinstance(extra, Mapping) and extra.get("split", "train") != "train":
            found: dict[str, Any] = await super().run_single(data)
            return found
        if (uid := row.get("uid")) is None:
            return _reply(Scored.failure("the row has no uid: verl's trainer gives one to each prompt"))
        text, truncated = await asyncio.get_running_loop().run_in_executor(None, self._text, item)
        prompt = question_of_row(row)
        asked = asked_of(row.get("data_source"), row.get("reward_model"), extra, prompt, self.domain)
        if isinstance(asked, str):
            return _reply(Scored.failure(asked))
        return _reply(
            await self.client.reward(group=str(uid), size=self.size, query=asked, text=text, truncated=truncated)
        )

    def _text(self, item: Any) -> tuple[str, bool | None]:
        """The response as text, and whether it was cut off: it does not end, and fills all there is."""
        responses = item.batch["responses"]
        length = int(item.batch["attention_mask"][-responses.shape[-1] :].sum())
        tokens = responses[:length]
        text: str = self.tokenizer.decode(tokens, skip_special_tokens=True)
        limit = int(self.config.actor_rollout_ref.rollout.get("response_length", 0) or 0)
        ended = length == 0 or int(tokens[-1]) == self.tokenizer.eos_token_id
        return text, bool(limit and length >= limit and not ended)


async def compute_score(
    data_source: Any,
    solution_str: str,
    ground_truth: Any,
    extra_info: Any = None,
    **kwargs: Any,
) -> dict[str, float]:
    """Return "score" and numbers to log, for `reward.custom_reward_function.path=pkg://memreward.integrations.verl`.

    verl does not tell a function the uid: groups are put together by the question, `size` at a time, so no question may
    be asked twice at once. The manager above has no such limit. `extra_info` holds "index", the question's id, and
    "question" or "prompt"; `kwargs` are `reward.custom_reward_function.reward_kwargs`: "size" and "domain", which must
    be there, "url", "deadline". The first call raises EndpointError if the service is not ready.
    """
    settings = checked_kwargs(kwargs, size=True)
    asked = asked_of(data_source, {"ground_truth": ground_truth}, extra_info, "", settings["domain"])
    if isinstance(asked, str):
        scored = Scored.failure(asked)
    else:
        client = ready_client(settings.get("url"), float(settings.get("deadline", 600.0)))
        size = int(settings["size"])
        scored = await client.reward(group=f"verl/{asked['id']}", size=size, query=asked, text=solution_str)
    return {"score": scored.reward, **scored.numbers()}


def _reply(scored: Scored) -> dict[str, Any]:
    extra = {"score": scored.reward, **scored.numbers()}
    return {"reward_score": float(np.float32(scored.reward)), "reward_extra_info": extra}
