"""Collect rollouts: questions in, a rollout file out, safe against interruption."""

import shutil
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from memreward.data import format_of, load_questions, write_groups
from memreward.domains import Verifiers, parse_rollout
from memreward.memory import ExperienceMemory, sealed_verdicts
from memreward.policy.prompts import load_template
from memreward.policy.sampler import Chat, Sample, Sampler
from memreward.policy.settings import EndpointConfig, RunConfig, SamplingConfig
from memreward.types import ConfigurationError, Group, Progress, Query, Rollout, silent

_QUESTIONS_VERIFIED_TOGETHER = 32
_DIGEST = "prompt_hash"
LOGPROB_DECIMALS = 3
"""Decimals that token log-probabilities are rounded to."""


@dataclass(frozen=True)
class CollectConfig(RunConfig):
    """What to ask, whom, and where to write it.

    Attributes:
        output: The rollout file to make, ending on .jsonl.gz, .jsonl or .parquet; finished groups wait in a memory
            beside it.
        sampling: The model, and what is sampled.
        endpoint: The model server to sample from instead.
    """

    sampling: SamplingConfig = field(kw_only=True)
    endpoint: EndpointConfig = field(default_factory=EndpointConfig, kw_only=True)

    def __post_init__(self) -> None:
        if not self.output:
            raise ConfigurationError("output is missing: name the rollout file to make by --out")
        if not self.output.endswith((".jsonl", ".jsonl.gz", ".parquet")):
            raise ConfigurationError(f"output {self.output!r}: the name must end on .jsonl.gz, .jsonl or .parquet")
        format_of(Path(self.output))
        if not self.questions:
            raise ConfigurationError("questions is empty: name a file by --questions")

    @property
    def name(self) -> str:
        return Path(self.sampling.model).name


@dataclass(frozen=True)
class _Question:
    group: Group
    provenance: dict[str, Any]
    prompt: Any

    @property
    def query(self) -> Query:
        return self.group.query

    def answered(self, samples: Sequence[Sample], config: CollectConfig) -> Group:
        rollouts = [
            parse_rollout(
                self.query,
                sample.text,
                id=f"{self.query.id}/{index}",
                policy_version=config.name,
                token_logprobs=_rounded(sample.token_logprobs),
                truncated=sample.truncated,
            )
            for index, sample in enumerate(samples)
        ]
        about = {"model": config.name, **self.provenance, "sampler": _settings(config), _DIGEST: self.prompt.digest}
        return self.group.answered(rollouts, about)


def collect(
    config: CollectConfig,
    *,
    progress: Progress = silent,
    sampler: Sampler | None = None,
    verifiers: Verifiers | None = None,
) -> Path:
    """Sample every question, judge rollouts by its reference, write the rollout file, and return its path.

    Each finished group is durable in a memory beside it, `<output>.journal`. The same configuration goes on from there
    after an interruption, `kill -9` included; more questions may be asked then. The file appears whole at the end.

    A sampler already made, of the model that `config` names, has its `config` replaced. Where the verifiers cannot
    tell, a rollout has no label. ConfigurationError where the output exists, or the journal was begun with other
    settings; StoreError where the disk is full.
    """
    output = Path(config.output)
    folder = journal_of(config)
    if output.exists() and not folder.exists():
        raise ConfigurationError(f"{output} exists already: delete it or choose another output")
    asked = load_questions(*config.questions, seed=config.sampling.seed)
    journal = ExperienceMemory.open(folder)
    sampler = _sampler(config, sampler)
    prompted = _prompted(asked, config, sampler)
    held = {group.query.id: group for group in journal.groups()}
    for group in held.values():
        _refuse_changes(folder, group, prompted.get(group.query.id), config)
    waiting = [question for question in prompted.values() if question.query.id not in held]
    with closing(sampler.sample([question.prompt for question in waiting])) as sampled:
        for number, one in enumerate(sampled, start=len(prompted) - len(waiting) + 1):
            held[one.id] = prompted[one.id].answered(one.samples, config)
            journal.add([held[one.id]])
            progress("sampling groups", number, len(prompted))
    whole = [question.group.answered(*_without_digest(held[name])) for name, question in prompted.items()]
    write_groups(output, _judged(whole, verifiers or Verifiers()))
    if held.keys() <= prompted.keys():
        shutil.rmtree(folder)
    return output


def journal_of(config: CollectConfig) -> Path:
    return Path(f"{config.output}.journal")


def _settings(config: CollectConfig) -> dict[str, Any]:
    """What decides the samples of a given prompt; the rest may change between two runs."""
    return {**asdict(config.sampling), "model": config.name, "logprob_decimals": LOGPROB_DECIMALS}


def _sampler(config: CollectConfig, sampler: Sampler | None) -> Sampler:
    if sampler is not None:
        sampler.config = config.sampling
        return sampler
    if config.endpoint.url:
        from memreward.policy.endpoint import EndpointSampler

        return EndpointSampler(config.sampling, config.endpoint)
    from memreward.policy.local import LocalSampler

    return LocalSampler(config.sampling)


def _prompted(asked: Sequence[Group], config: CollectConfig, sampler: Sampler) -> dict[str, _Question]:
    chats = []
    for query in (group.query for group in asked):
        template = load_template(query, config.templates)
        chats.append(Chat(query.id, template.name, template.messages(query.text)))
    made = {}
    for group, chat, prompt in zip(asked, chats, sampler.prompts(chats), strict=True):
        kept = {key: value for key, value in group.provenance.items() if key in ("source", "license")}
        made[group.query.id] = _Question(group, {**kept, "prompt": chat.template}, prompt)
    return made


def _refuse_changes(folder: Path, held: Group, question: _Question | None, config: CollectConfig) -> None:
    """Raise ConfigurationError where a group was sampled with other settings, or with another prompt than now."""
    begun, now = held.provenance.get("sampler") or {}, _settings(config)
    changed = [
        f"{name} was {begun.get(name)!r} and is {now.get(name)!r}"
        for name in sorted({*begun, *now})
        if begun.get(name) != now.get(name)
    ]
    if changed:
        raise ConfigurationError(
            f"{folder} was begun with other settings: {'; '.join(changed)}. Go on with the old settings, "
            "or delete the journal or choose another output to start over"
        )
    if question is not None and held.provenance.get(_DIGEST) != question.prompt.digest:
        raise ConfigurationError(
            f"{folder}: query {held.query.id!r} was sampled with another prompt (template, tokenizer or question has "
            "changed); restore it, or delete the journal or choose another output to start over"
        )


def _without_digest(held: Group) -> tuple[tuple[Rollout, ...], dict[str, Any]]:
    return held.rollouts, {name: value for name, value in held.provenance.items() if name != _DIGEST}


def _rounded(logprobs: Sequence[float] | None) -> list[float] | None:
    # Adding 0.0 makes -0.0 a plain zero.
    return None if logprobs is None else [round(logprob, LOGPROB_DECIMALS) + 0.0 for logprob in logprobs]


def _judged(groups: Sequence[Group], verifiers: Verifiers) -> Iterator[Group]:
    for begin in range(0, len(groups), _QUESTIONS_VERIFIED_TOGETHER):
        yield from sealed_verdicts(groups[begin : begin + _QUESTIONS_VERIFIED_TOGETHER], verifiers)
