"""A taskset of sums for verifiers, with a harness that asks once over HTTP, and our Env."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import httpx
import verifiers.v1 as vf
from verifiers.v1.runtimes import ProgramResult

from memreward.integrations.verifiers import GroupRewardEnv

__all__ = ["AskOnce", "GroupRewardEnv", "SumsTaskset"]


class SumData(vf.TaskData):
    answer: str = ""


class SumTask(vf.Task[SumData]):
    @vf.reward
    async def exact(self, trace: vf.Trace) -> float:
        return float(self.data.answer in str(trace.last_message.content))


class SumsTaskset(vf.Taskset[SumTask, vf.TasksetConfig]):
    def load(self) -> Iterable[SumTask]:
        for number in range(4):
            prompt = f"What is {number} + 3?"
            yield SumTask(SumData(id=f"q{number}", prompt=prompt, answer=str(number + 3)), self.config.task)


class AskOnceConfig(vf.HarnessConfig):
    pass


class AskOnce(vf.Harness[AskOnceConfig]):
    """Sends the prompt to the interception server, as the packaged harnesses' programs do."""

    APPENDS_SYSTEM_PROMPT = True
    EXECUTES_CODE = False
    NEEDS_CONTAINER = False

    async def launch(
        self, ctx: Any, trace: Any, runtime: Any, endpoint: str, secret: str, mcp_urls: Any, data: Any, **_: Any
    ) -> ProgramResult:
        body = {"model": ctx.model, "messages": [{"role": "user", "content": data.prompt}]}
        async with httpx.AsyncClient(timeout=60, trust_env=False) as asking:
            reply = await asking.post(
                f"{endpoint}/chat/completions", json=body, headers={"authorization": f"Bearer {secret}"}
            )
        return ProgramResult(0 if reply.status_code == 200 else 1, reply.text, "")
