"""From verl's rows and settings to what the service is asked; needs no verl."""

from collections.abc import Mapping
from typing import Any

from memreward.data.chat import query_id_of, question_of
from memreward.types import DOMAINS, ConfigurationError, DataError


def check_algorithm(algorithm: Any) -> None:
    """Refuse settings with which verl would do more to a reward than subtract its group's mean."""
    if algorithm.get("adv_estimator") != "grpo" or algorithm.get("norm_adv_by_std_in_grpo", True):
        raise ConfigurationError(
            f"adv_estimator={algorithm.get('adv_estimator')!r} with norm_adv_by_std_in_grpo="
            f"{algorithm.get('norm_adv_by_std_in_grpo', True)} standardises again what is an expected advantage "
            "already: set algorithm.adv_estimator=grpo algorithm.norm_adv_by_std_in_grpo=False"
        )
    if algorithm.get("use_kl_in_reward", False):
        raise ConfigurationError(
            "algorithm.use_kl_in_reward=True takes the divergence from the reward, so that it is not an expected "
            "advantage any more: set algorithm.use_kl_in_reward=False actor_rollout_ref.actor.use_kl_loss=True"
        )


def checked_kwargs(kwargs: Mapping[str, Any], *, size: bool = False) -> Mapping[str, Any]:
    if kwargs.get("domain") not in DOMAINS:
        raise ConfigurationError(
            f"domain={kwargs.get('domain')!r} is none of {', '.join(DOMAINS)}: set +reward.reward_kwargs.domain=math, "
            "or, for a function, +reward.custom_reward_function.reward_kwargs.domain=math"
        )
    if size and not str(kwargs.get("size", "")).isdigit():
        raise ConfigurationError(
            "the function does not know how many rollouts a group has: set "
            "+reward.custom_reward_function.reward_kwargs.size to actor_rollout_ref.rollout.n"
        )
    return kwargs


def question_of_row(row: Mapping[str, Any]) -> str:
    """Return the question in a row's "raw_prompt", "" where it has none that can be read."""
    prompt = row.get("raw_prompt")
    try:
        return question_of(list(prompt)) if prompt is not None else ""
    except (DataError, TypeError):
        return ""


def asked_of(source: Any, reward_model: Any, extra: Any, prompt: str, domain: str) -> dict[str, Any] | str:
    """Return the query of a row as the service takes it, or what the row lacks.

    `source` with index and split in `extra` makes the id, else the text does; the "ground_truth" of `reward_model` is
    sent to be sealed; the question is `prompt`, or stands in `extra`, whose "domain" overrules `domain`.
    """
    info = extra if isinstance(extra, Mapping) else {}
    text = next((one for one in (info.get("question"), prompt, info.get("prompt")) if isinstance(one, str) and one), "")
    if not text:
        return 'the row has no question: give extra_info a "question"'
    index = info.get("index")
    identity = query_id_of(text) if index is None else f"{source}/{info.get('split', 'train')}/{index}"
    truth = reward_model.get("ground_truth") if isinstance(reward_model, Mapping) else None
    query = {"id": identity, "text": text, "domain": str(info.get("domain", domain)), "dataset": str(source or "")}
    return query | ({"reference": truth} if isinstance(truth, str) and truth else {})
