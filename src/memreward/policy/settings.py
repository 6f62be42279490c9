"""Settings of the samplers, without the libraries that they need."""

import re
from dataclasses import dataclass
from urllib.parse import urlsplit

from memreward.types import ConfigurationError

API_KEY = "MEMREWARD_API_KEY"
"""Environment variable that holds a model server's key, if it wants one."""


@dataclass(frozen=True)
class SamplingConfig:
    """What is sampled, in this process or on a server.

    Attributes:
        model: Folder of a checkpoint, or its name on the hub.
        rollouts: Rollouts a query, G >= 1.
        temperature: Divides the logits; 0 decodes greedily.
        top_p: Share of the probability that sampling is confined to, in (0, 1].
        max_new_tokens: Length limit of a rollout in tokens.
        seed: Seeds every group together with its id.
    """

    model: str
    rollouts: int = 8
    temperature: float = 0.8
    top_p: float = 0.95
    max_new_tokens: int = 256
    seed: int = 0

    def __post_init__(self) -> None:
        for name in ("rollouts", "max_new_tokens"):
            if getattr(self, name) < 1:
                raise ConfigurationError(f"{name} is {getattr(self, name)}: at least 1 is needed")
        if not self.temperature >= 0:
            raise ConfigurationError(f"temperature is {self.temperature}: use 0 (greedy) or more")
        if not 0 < self.top_p <= 1:
            raise ConfigurationError(f"top_p is {self.top_p}: use a share above 0 and at most 1")


@dataclass(frozen=True)
class RunConfig:
    """What a model is asked, and where it goes; the same of a collection and of a training.

    Attributes:
        output: Where it goes.
        questions: Files of what to ask, each with ":COUNT" for a sample of that size.
        templates: Folder with your own few-shot prompts, named after data set or domain; "" for the shipped ones.
    """

    output: str = ""
    questions: tuple[str, ...] = ()
    templates: str = ""


@dataclass(frozen=True)
class EndpointConfig:
    """A model server that speaks OpenAI's protocol: vLLM, SGLang, llama.cpp, Ollama and others.

    Attributes:
        url: Address of an OpenAI-compatible server with its "/v1", e.g. http://localhost:8000/v1; "" runs the model in
            this process.
        parallel: Requests in flight at a time.
    """

    url: str = ""
    parallel: int = 8

    def __post_init__(self) -> None:
        if self.url:
            _refuse_address(self.url)
        if self.parallel < 1:
            raise ConfigurationError(f"parallel is {self.parallel}: at least 1 is needed")


def _refuse_address(url: str) -> None:
    # The address may hold a secret, so no message repeats all of it.
    try:
        parts = urlsplit(url)
        _ = parts.port
        (parts.hostname or "").encode("idna")
    except ValueError as error:
        reason = "it cannot be taken apart" if "@" in url else str(error)
        raise ConfigurationError(f"url is not an address ({reason}): give one as http://localhost:8000/v1") from error
    if re.search(r"[\s\x00-\x1f\x7f<>\"`{}|\\^]", url):
        raise ConfigurationError("url holds a space, a control character or a bracket that no address has: remove it")
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ConfigurationError(
            f"url has scheme {parts.scheme!r} and host {parts.hostname!r}: give an address such as "
            "http://localhost:8000/v1"
        )
    if parts.username or parts.password or parts.query:
        raise ConfigurationError(
            f"url of {parts.hostname} holds a name, a password or a query: leave them out, and put the key into the "
            f"environment variable {API_KEY}"
        )
