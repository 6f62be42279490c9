"""Collect rollouts: questions in, a rollout file out, safe against interruption."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from memreward.data import format_of, load_questions, write_groups
from memreward.domains import Verifiers, parse_rollout
from memreward.memory import sealed_verdicts
from memreward.policy.journal import Journal
from memreward.policy.prompts import load_template
from memreward.policy.sampler import AnyPrompt, Chat, SampledGroup, Sampler, Usage
from memreward.policy.settings import EndpointConfig, LocalConfig, SamplingConfig
from memreward.types import ConfigurationError, Group, Progress, Query, silent

_QUESTIONS_VERIFIED_TOGETHER = 32
LOGPROB_DECIMALS = 3
"""Decimals that token log-probabilities are rounded to."""


@dataclass(frozen=True)
class CollectConfig:
    """What to ask, whom, and where to write it.

    Attributes:
        output: The rollout file to make, ending on .jsonl.gz, .jsonl or .parquet; finished groups wait in a journal
            beside it.
        sampling: The model, and what is sampled.
        questions: What to ask: benchmarks, files, and families of generated questions, each with ":COUNT" for a sample
            of that size.
        local: How a model in this process is run.
        endpoint: The model server to sample from instead.
        templates: Folder with your own few-shot prompts, named after family or domain; "" for the shipped ones.
        model_name: How the file names the model; "" for the last part of the model's.
    """

    output: str
    sampling: SamplingConfig
    questions: tuple[str, ...] = ("gsm_symbolic:100",)
    local: LocalConfig = field(default_factory=LocalConfig)
    endpoint: EndpointConfig = field(default_factory=EndpointConfig)
    templates: str = ""
    model_name: str = ""

    def __post_init__(self) -> None:
        if not self.output.endswith((".jsonl", ".jsonl.gz", ".parquet")):
            raise ConfigurationError(f"output {self.output!r}: the name must end on .jsonl.gz, .jsonl or .parquet")
        format_of(Path(self.output))
        if not self.questions:
            raise ConfigurationError("questions is empty: name at least one FAMILY:COUNT or FILE")
        if self.endpoint.url and self.local.chat_template:
            raise ConfigurationError(
                f"chat_template {self.local.chat_template!r} cannot be used: a server applies its own; name it there"
            )

    @property
    def name(self) -> str:
        """How the file names the model."""
        return self.model_name or Path(self.sampling.model).name


@dataclass(frozen=True)
class _Question:
    group: Group
    provenance: dict[str, Any]
    prompt: AnyPrompt

    @property
    def query(self) -> Query:
        return self.group.query


def collect(
    config: CollectConfig,
    *,
    progress: Progress = silent,
    sampler: Sampler[Any] | None = None,
    verifiers: Verifiers | None = None,
) -> Path:
    """Sample every question, judge rollouts by its reference, write the rollout file, and return its path.

    Each finished group is synced to a journal, `<output>.journal`, before it counts as done. Running the same
    configuration again after an interruption, `kill -9` included, goes on from there; more questions may be asked
    then, but nothing that changes the samples may differ. The file appears whole at the end, and the journal goes.

    A sampler already made, of the model that `config` names, has its `config` replaced. Where the verifiers cannot
    tell, a rollout has no label. ConfigurationError where the output exists, or the journal was begun with other
    settings; StoreError where the disk is full or another process collects into the same output.
    """
    output = Path(config.output)
    path = output.with_name(output.name + ".journal")
    if output.exists() and not path.exists():
        raise ConfigurationError(f"{output} exists already: delete it or choose another output")
    asked = _questions(config)
    with Journal.open(path, _settings(config)) as journal:
        sampler = _sampler(config, sampler)
        prompted = _prompted(asked, config, sampler)
        _refuse_changed_prompts(path, journal, prompted)
        done = {record["id"] for record in journal.records}
        waiting = [question for question in prompted if question.query.id not in done]
        digests = {question.query.id: question.prompt.digest for question in waiting}
        with closing(sampler.sample([question.prompt for question in waiting])) as groups:
            for number, group in enumerate(groups, start=len(prompted) - len(waiting) + 1):
                journal.append(_record(group, digests[group.id]))
                progress("sampling groups", number, len(prompted))
        records = {record["id"]: record for record in journal.records}
        write_groups(output, _groups(prompted, records, config, verifiers or Verifiers()))
    if records.keys() <= {question.query.id for question in prompted}:
        path.unlink()
    return output


def _settings(config: CollectConfig) -> dict[str, Any]:
    """What decides the samples of a given prompt; the rest may change between two runs."""
    how = {"api": config.endpoint.api} if config.endpoint.url else {"dtype": config.local.dtype}
    return {**asdict(config.sampling), "model": config.name, **how, "logprob_decimals": LOGPROB_DECIMALS}


def _sampler(config: CollectConfig, sampler: Sampler[Any] | None) -> Sampler[Any]:
    if sampler is not None:
        sampler.config = config.sampling
        return sampler
    if config.endpoint.url:
        from memreward.policy.endpoint import EndpointSampler

        return EndpointSampler(config.sampling, config.endpoint)
    from memreward.policy.local import LocalSampler

    return LocalSampler(config.sampling, config.local)


def _questions(config: CollectConfig) -> list[Group]:
    """All questions, the sources mixed evenly, so that a run that is cut short has some of each."""
    placed: list[tuple[float, Group]] = []
    seen: set[str] = set()
    for source in config.questions:
        found = load_questions(source, seed=config.sampling.seed)
        for index, group in enumerate(found):
            if group.query.id in seen:
                raise ConfigurationError(f"question {group.query.id!r} is asked twice: name {source!r} once")
            seen.add(group.query.id)
            placed.append(((index + 0.5) / len(found), group))
    return [question for _, question in sorted(placed, key=lambda entry: entry[0])]


def _prompted(asked: Sequence[Group], config: CollectConfig, sampler: Sampler[Any]) -> list[_Question]:
    chats = []
    for query in (group.query for group in asked):
        template = load_template(query, config.templates)
        chats.append(Chat(query.id, template.name, template.messages(query.text)))
    made = []
    for group, chat, prompt in zip(asked, chats, sampler.prompts(chats), strict=True):
        kept = {key: value for key, value in group.provenance.items() if key in ("source", "license")}
        made.append(_Question(group, {**kept, "prompt": chat.template}, prompt))
    return made


def _refuse_changed_prompts(path: Path, journal: Journal, prompted: Sequence[_Question]) -> None:
    digests = {question.query.id: question.prompt.digest for question in prompted}
    for record in journal.records:
        if digests.get(record["id"], record["prompt_hash"]) != record["prompt_hash"]:
            raise ConfigurationError(
                f"{path}: query {record['id']!r} was sampled with another prompt (template, tokenizer or question has "
                "changed); restore it, or delete the journal or choose another output to start over"
            )


def _record(group: SampledGroup, prompt_digest: str) -> dict[str, Any]:
    rollouts = [
        {"text": each.text, "token_logprobs": _rounded(each.token_logprobs), "truncated": each.truncated}
        for each in group.samples
    ]
    return {"id": group.id, "prompt_hash": prompt_digest, "rollouts": rollouts, "usage": asdict(group.usage)}


def _rounded(logprobs: Sequence[float] | None) -> list[float] | None:
    # Adding 0.0 makes -0.0 a plain zero.
    return None if logprobs is None else [round(logprob, LOGPROB_DECIMALS) + 0.0 for logprob in logprobs]


def _groups(
    prompted: Sequence[_Question], records: Mapping[str, dict[str, Any]], config: CollectConfig, verifiers: Verifiers
) -> Iterator[Group]:
    for begin in range(0, len(prompted), _QUESTIONS_VERIFIED_TOGETHER):
        together = prompted[begin : begin + _QUESTIONS_VERIFIED_TOGETHER]
        yield from sealed_verdicts([_group(each, records[each.query.id], config) for each in together], verifiers)


def _group(question: _Question, record: dict[str, Any], config: CollectConfig) -> Group:
    query = question.query
    rollouts = [
        parse_rollout(query, id=f"{query.id}/{index}", policy_version=config.name, **rollout)
        for index, rollout in enumerate(record["rollouts"])
    ]
    usage = asdict(Usage(**record.get("usage", {})))  # journals of release 0.1.0 do not say
    about = {"model": config.name, **question.provenance, "sampler": _settings(config), "usage": usage}
    return question.group.answered(rollouts, about)
