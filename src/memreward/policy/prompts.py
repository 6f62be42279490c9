"""Few-shot chat prompts, kept as data: one JSON file a domain in `templates/`, or one a data set."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

from memreward.types import ConfigurationError, Query


@dataclass(frozen=True, slots=True)
class Template:
    """How a question is put to a chat model: a system message, and worked examples, each a question and its answer."""

    name: str
    system: str
    shots: tuple[tuple[str, str], ...]

    def messages(self, question: str) -> list[dict[str, str]]:
        """The chat that ends with `question`, which is kept whole and unchanged."""
        chat = [{"role": "system", "content": self.system}] if self.system else []
        for asked, answered in self.shots:
            chat += [{"role": "user", "content": asked}, {"role": "assistant", "content": answered}]
        return [*chat, {"role": "user", "content": question}]


def load_template(query: Query, folder: str = "") -> Template:
    """The template of the query's dataset (its last part), else of its domain; `folder` goes first."""
    places: list[Any] = [Path(folder)] if folder else []
    places.append(resources.files("memreward.policy") / "templates")
    for name in (query.dataset.rpartition("/")[2], query.domain):
        for place in places:
            file = place / f"{name}.json"
            if name and file.is_file():
                return _read(name, file)
    raise ConfigurationError(
        f"no prompt template for query {query.id!r}: put {query.domain}.json into the template folder {folder!r}"
    )


def _read(name: str, file: Any) -> Template:
    try:
        data = json.loads(file.read_text(encoding="utf-8"))
        shots = tuple((str(shot["question"]), str(shot["answer"])) for shot in data["shots"])
        return Template(name, str(data["system"]), shots)
    except (ValueError, KeyError, TypeError) as error:
        raise ConfigurationError(
            f"prompt template {file} is broken ({error!r}): it must be JSON of the form "
            '{"system": "...", "shots": [{"question": "...", "answer": "..."}]}'
        ) from error


def render(tokenizer: Any, messages: Sequence[Mapping[str, str]]) -> tuple[int, ...]:
    if not tokenizer.chat_template:
        raise ConfigurationError(
            "the model's tokenizer has no chat template: put one as chat_template.jinja into the model's folder"
        )
    text = tokenizer.apply_chat_template(list(messages), add_generation_prompt=True, tokenize=False)
    return tuple(tokenizer(text, add_special_tokens=False)["input_ids"])
