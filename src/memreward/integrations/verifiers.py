"""verifiers: an Env that attempts a task n times in one episode and rewards the attempts as a group.

An Env's id is a module without dots, so a file of one line names it: docs/integrations.md. Any taskset will do: a task
whose data has a reference, under one of the usual names (`answer`, `ground_truth` and others), gives it to the service,
which seals it; one without is rewarded by what the answer model holds of its attempts. MEMREWARD_URL names the service,
MEMREWARD_DOMAIN the domain ("math"). Nothing of this module is imported by others here.
"""

import asyncio
import os
from typing import Any

import verifiers.v1 as vf
from pydantic import Field

from memreward.data.chat import query_id_of, question_of
from memreward.data.formats.found import USUAL
from memreward.integrations.client import LOUD, Client, Scored
from memreward.types import DataError

REWARD = "memreward"


class GroupRewardConfig(vf.EnvConfig):  # type: ignore[misc]
    """Settings of the Env.

    Attributes:
        agent: Who attempts the task.
        n: Attempts, which are one group.
    """

    agent: vf.AgentConfig = vf.AgentConfig()
    n: int = Field(8, ge=2)


class GroupRewardEnv(vf.Env[GroupRewardConfig]):  # type: ignore[misc]
    """Attempts a task n times and records each attempt's expected advantage as its one weighted reward.

    What the taskset itself rewards stays on the trace as a metric, `task/NAME`: beside an expected advantage it would
    count twice. The trainer must only centre rewards within an episode. An attempt that failed, and a group that the
    service says nothing of, get 0, which is the group's mean.
    """

    async def start(self) -> None:
        """Ask the service, before the first episode, whether it is ready."""
        self._client = Client()
        await self._client.ready()

    async def stop(self) -> None:
        if hasattr(self, "_client"):
            await self._client.close()

    async def run(self, task: Any, agents: Any) -> None:
        async with asyncio.TaskGroup() as attempts:
            for _ in range(self.config.n):
                attempts.create_task(agents.agent.run(task))

    async def finalize(self, task: Any, episode: Any) -> None:
        whole = [trace for trace in episode.traces if trace.ok]
        scored = dict(zip([trace.id for trace in whole], await self._scored(task, whole), strict=True))
        for trace in episode.traces:
            for name in [name for name in trace.rewards if name != REWARD]:
                earned = trace.rewards.pop(name)
                trace.record_metric(f"task/{name}", 0.0 if earned is None else earned.score)
            found = scored.get(trace.id) or Scored.failure("the attempt failed")
            trace.record_reward(REWARD, found.reward)
            for name, value in found.numbers().items():
                trace.record_metric(name, value)

    async def _scored(self, task: Any, traces: list[Any]) -> list[Scored]:
        if not traces:
            return []
        try:
            group = self._group(task, traces)
            return (await self._client.score([group]))[0]
        except LOUD:
            raise
        except Exception as error:  # an episode that fails is run again, and would fail again
            return [Scored.failure(f"{type(error).__name__}: {error}")] * len(traces)

    def _group(self, task: Any, traces: list[Any]) -> dict[str, Any]:
        data = task.data
        prompt = data.prompt
        text = question_of([_plain(message) for message in prompt] if isinstance(prompt, list) else prompt)
        query = {
            "id": str(data.id or query_id_of(text)),
            "text": text,
            "domain": os.environ.get("MEMREWARD_DOMAIN", "math"),
            "dataset": str(self.config.taskset.id),
        }
        reference = next((found for name in USUAL["answer"] if (found := getattr(data, name, None)) is not None), None)
        if reference is not None:
            query["reference"] = str(reference)
        rollouts = [{"id": trace.id, "text": _reply(trace), "truncated": trace.is_truncated} for trace in traces]
        identity = "/".join(sorted(trace.id for trace in traces))[:1000]
        return {"id": identity, "query": query, "rollouts": rollouts, "partial": len(traces) < self.config.n}


def _plain(message: Any) -> Any:
    return message.model_dump() if hasattr(message, "model_dump") else message


def _reply(trace: Any) -> str:
    """What the policy said: reasoning, where the server tells it apart, and text, over all its turns."""
    said = [_plain(message) for message in trace.assistant_messages]
    parts = []
    for message in said:
        thought, content = message.get("reasoning_content"), message.get("content")
        parts.append(f"<think>{thought}</think>{content or ''}" if thought else content or "")
    if not any(parts):
        raise DataError("the attempt says nothing")
    return "\n\n".join(parts)


__all__ = ["GroupRewardConfig", "GroupRewardEnv"]
