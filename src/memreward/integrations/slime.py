"""slime: a function for whole groups, which drops a rollout that nothing can be said of.

    --custom-rm-path memreward.integrations.slime.rewards --group-rm --disable-grpo-std-normalization

Written against slime's sources (`rm_hub.batched_async_rm`, `utils.types.Sample`): the package is on no index, and this
was never run in it. MEMREWARD_URL names the service, MEMREWARD_DOMAIN the domain ("math").
"""

import os
import uuid
from typing import Any

from memreward.data.chat import question_of
from memreward.integrations.client import LOUD, Scored, ready_client
from memreward.integrations.openrlhf import asked_of
from memreward.types import ConfigurationError


async def rewards(args: Any, samples: list[Any], **_: Any) -> list[float]:
    """Return the expected advantage of each sample of one group; what abstained or failed is 0, the group's mean.

    Such a sample is given `remove_sample`, with which slime takes it out of the loss, and each what is to be logged in
    `metadata["memreward"]`. A label is the reference, or a JSON object, as `integrations.openrlhf` reads it.

    Raises:
        ConfigurationError: slime would standardise again.
        EndpointError: the service is not ready.
        FaultError: the service met a bug.
    """
    if args.advantage_estimator not in ("grpo", "gspo") or args.grpo_std_normalization:
        raise ConfigurationError(
            f"advantage_estimator={args.advantage_estimator!r} with grpo_std_normalization="
            f"{args.grpo_std_normalization} standardises again what is an expected advantage already: "
            "--advantage-estimator grpo --disable-grpo-std-normalization"
        )
    client = ready_client()
    try:
        found = (await client.score([_group(samples, args.n_samples_per_prompt)]))[0]
    except LOUD:
        raise
    except Exception as error:  # slime stops at the first exception of a reward
        found = [Scored.failure(f"{type(error).__name__}: {error}")] * len(samples)
    for sample, scored in zip(samples, found, strict=True):
        sample.metadata["memreward"] = scored.numbers()
        sample.remove_sample = sample.remove_sample or scored.source == "abstained"
    return [scored.reward for scored in found]


def _group(samples: list[Any], size: int) -> dict[str, Any]:
    prompt, label = samples[0].prompt, samples[0].label
    text = prompt if isinstance(prompt, str) else question_of(prompt)
    domain = os.environ.get("MEMREWARD_DOMAIN", "math")
    rollouts = [
        {
            "id": str(place),
            "text": asked_of(text + sample.response, text, label, domain)["text"],
            "truncated": sample.status.value == "truncated",
            "token_logprobs": sample.rollout_log_probs,
        }
        for place, sample in enumerate(samples)
    ]
    query = asked_of(text, text, label, domain)["query"]
    return {"id": f"slime/{uuid.uuid4().hex}", "query": query, "rollouts": rollouts, "partial": len(samples) < size}
