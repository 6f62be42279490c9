"""What verl's own trainer lacks on a machine without graphics cards: a platform, and an engine for rollouts.

Both are registered by verl's own registries; VERL_USE_EXTERNAL_MODULES names this file, so that each of its processes
has them. The engine stands for vLLM: completions are given by the question, since a tiny model has nothing to say. All
else is verl's: its trainer, FSDP workers, agent loops, reward loop, advantages, loss and optimizer.
"""

from __future__ import annotations

import re
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

import ray
import torch
from verl.plugin.platform import platform_manager
from verl.plugin.platform.platform_base import PlatformBase
from verl.workers.rollout import base
from verl.workers.rollout.replica import RolloutReplica, RolloutReplicaRegistry, TokenOutput


def _nothing(*_: Any, **__: Any) -> Any:
    return 0


@contextmanager
def _range(_: str) -> Any:
    yield


class _Module(SimpleNamespace):
    """Stands for torch.cuda where verl asks for memory, streams and seeds."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return getattr(torch.cpu, name, _nothing)


_DEVICE = _Module(
    get_rng_state=torch.get_rng_state,
    set_rng_state=torch.set_rng_state,
    is_available=lambda: False,
    mem_get_info=lambda *_: (0, 0),
    get_device_name=lambda *_: "cpu",
)


@platform_manager.PlatformRegistry.register(platform="cpu")
class PlatformCPU(PlatformBase):
    """One core for a card: Ray is told that there is one."""

    device_name, vendor_name, device_module = "cpu", "none", _DEVICE
    synchronize = set_device = set_allocator_settings = empty_cache = profiler_start = profiler_stop = _nothing
    cudart = _nothing
    nvtx_range = staticmethod(_range)

    def is_available(self) -> bool:
        return True

    def current_device(self) -> Any:
        return torch.device("cpu")

    def device_count(self) -> int:
        return 1

    def manual_seed(self, seed: int) -> None:
        torch.manual_seed(seed)

    manual_seed_all = manual_seed

    def get_device_capability(self, device_index: int = 0) -> tuple[None, None]:
        return None, None

    def communication_backend_name(self) -> str:
        return "gloo"

    def visible_devices_envvar(self) -> str:
        return "CUDA_VISIBLE_DEVICES"

    def ray_resource_name(self) -> str:
        return "GPU"

    def ray_noset_envvars(self) -> list[str]:
        return []

    def is_ipc_supported(self) -> bool:
        return False


class Adapter(base.BaseRollout):
    """Takes weights from the trainer and says that they came; what is said does not depend on them."""

    async def resume(self, tags: list[str]) -> None: ...

    async def release(self) -> None: ...

    async def update_weights(self, weights: Any, global_steps: int | None = None, **_: Any) -> None:
        total = sum(float(tensor.float().abs().sum()) for _, tensor in weights)
        print(f"WEIGHTS {global_steps} {total!r}", flush=True)
        await ray.get_actor("given_server").set_global_steps.remote(global_steps)


class Server:
    """Answers the prompts of a question in turn with what texts_of has for it."""

    def __init__(self, folder: str) -> None:
        from transformers import AutoTokenizer

        self._tokenizer, self._asked, self._steps = AutoTokenizer.from_pretrained(folder), {}, 0

    async def generate(self, request_id: str, *, prompt_ids: Any, sampling_params: Any, **_: Any) -> Any:
        from serving import texts_of

        found = re.search(r"What is (\d+)", self._tokenizer.decode(prompt_ids))
        assert found, self._tokenizer.decode(prompt_ids)
        number = int(found[1])
        texts = texts_of(number)
        place = self._asked[number] = self._asked.get(number, -1) + 1
        tokens = self._tokenizer(texts[place % len(texts)])["input_ids"] + [self._tokenizer.eos_token_id]
        return TokenOutput(
            token_ids=tokens,
            log_probs=[-1.0] * len(tokens),
            stop_reason="completed",
            extra_fields={"global_steps": self._steps},
        )

    async def set_global_steps(self, steps: int) -> None:
        self._steps = steps

    async def nothing(self, *_: Any, **__: Any) -> None: ...

    wake_up = sleep = abort_all_requests = resume_generation = clear_kv_cache = nothing
    release_kv_cache = resume_kv_cache = start_profile = stop_profile = nothing


class Replica(RolloutReplica):
    """One server in place of vLLM's."""

    async def launch_servers(self) -> None:
        made = ray.remote(Server).options(name="given_server", num_cpus=0)
        self._server_handle = made.remote(self.model_config.path)
        self._server_address, self.servers = "given", [self._server_handle]


def _started(*given: Any, backend: str | None = None, **more: Any) -> None:
    _start(*given, backend="gloo" if backend == "cpu:gloo,cpu:gloo" else backend, **more)


# verl names one backend for processors and one for cards, and torch refuses the two where they are the same.
_start, torch.distributed.init_process_group = torch.distributed.init_process_group, _started
platform_manager.set_platform(PlatformCPU())
base._ROLLOUT_REGISTRY["given", "async"] = f"{__name__}.Adapter"
RolloutReplicaRegistry.register("given", lambda: Replica)
