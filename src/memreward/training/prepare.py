"""What training starts from: questions, the labelled ones among them, rollouts of the starting policy, the reward."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from memreward.data import load_questions, read_groups, write_groups
from memreward.data.questions import without_rollouts
from memreward.data.splits import read_split
from memreward.features.cache import DiskVectorStore, default_cache_folder
from memreward.features.choosing import label_order
from memreward.features.encoder import load_encoder
from memreward.features.featurizer import RolloutReader, RolloutRunner
from memreward.memory import Budget, ExperienceMemory
from memreward.policy.collect import CollectConfig, collect
from memreward.policy.prompts import chat_of
from memreward.policy.settings import LocalConfig, SamplingConfig
from memreward.predict.config import PredictorConfig
from memreward.predict.reward_predictor import WARMUP, RewardPredictor
from memreward.reward.hybrid import HybridConfig
from memreward.training.arms import arm_named
from memreward.training.config import POLICY_READS, TrainConfig
from memreward.training.rewards import Reward, make_reward
from memreward.types import ConfigurationError, Encoder, Group, LabelError, Truth
from memreward.verify import VerdictCache, Verifiers

Progress = Callable[[str, int, int], None]

_EXPERIENCE = "experience.jsonl.gz"
_ASKED_FIRST = "asked_first.jsonl"
_STATES = "states"


@dataclass(frozen=True)
class Prepared:
    """What training starts from.

    Attributes:
        reward: The reward function.
        groups: The questions that are asked, without rollouts.
        labelled: Ids of the labelled queries.
        memory: Its ledger has what was spent.
    """

    reward: Reward
    groups: Sequence[Group]
    labelled: frozenset[str]
    memory: ExperienceMemory


def prepare(
    config: TrainConfig,
    reward: HybridConfig | None,
    encoder: str | Encoder,
    progress: Progress,
    *,
    choose_by: str | Encoder | None = None,
) -> Prepared:
    """Fill the memory, draw the labelled questions, warm a predictor up if the arm has one, and make the reward.

    What an earlier call for the same output has done is not done again.

    Args:
        config: What to train.
        reward: Settings of the hybrid reward; None takes those of the arm.
        encoder: Of the texts that the predictor reads.
        choose_by: Encoder by which questions are alike when labels are chosen; None takes `encoder`.
        progress: Told of a stage, what is done and of how much.

    Raises:
        MemRewardError: a question file, model, budget or setting cannot be used.
    """
    arm = arm_named(config.arm, config.choose)
    memory = ExperienceMemory.open(Path(config.output) / "memory")
    verifiers = Verifiers(config.verify, cache=VerdictCache(default_cache_folder()))
    given = [group for file in config.experience for group in read_groups(file)]
    asked = _questions(config, given)
    memory.add(asked)
    names = {group.query.id for group in asked}
    own = [group for group in given if group.query.id in names]
    budget, order = arm.budget(config.labels), None
    if config.choose != "random" and arm.labels == "share":
        own = own or _sampled(config, asked)
        reach = budget.limits(len(own), 0)[0]
        order = label_order(config.choose, own, partial(load_encoder, choose_by or encoder), config.grpo.seed, reach)
    drawn = memory.ledger.choose(budget, config.grpo.seed, among=sorted(names), by="references", order=order)
    labelled = frozenset[str]() if arm.labels == "none" else frozenset(drawn)
    runner = _runner(config)

    def predictor() -> RewardPredictor:
        asked_of = {group.query.id: group for group in asked}
        if given:
            memory.add(own)
            _refuse_unjudged(memory, drawn)
        else:
            memory.ledger.release_references(sorted(labelled), use=WARMUP, budget=budget)
            sampled = own or _sampled(config, [asked_of[query_id] for query_id in drawn])
            known = [replace(g, truth=asked_of[g.query.id].truth) if g.query.id in labelled else g for g in sampled]
            memory.add(verifiers.judge(known))
        tools = _Tools(encoder, _reader(config), runner)
        settings = arm.predictor_config(config.predictor)
        return _predictor(config, settings, memory, budget, tools, progress, drawn)

    made = make_reward(
        arm,
        memory,
        labelled,
        budget=budget,
        verifiers=verifiers,
        predictor=predictor,
        hybrid=reward,
        runner=runner,
        seed=config.grpo.seed,
    )
    if arm.only_labelled:
        asked = [group for group in asked if group.query.id in labelled]
    return Prepared(made, asked, labelled, memory)


def _questions(config: TrainConfig, experience: Sequence[Group]) -> list[Group]:
    found = (
        [without_rollouts(group) for group in experience]
        if not config.questions
        else [group for source in config.questions for group in load_questions(source, seed=config.grpo.seed)]
    )
    if len({group.query.id for group in found}) < len(found):
        raise ConfigurationError("a question is asked twice: name each source of --questions once")
    if not config.split:
        return found
    train = set(read_split(config.split, found).train)
    return [group for group in found if group.query.id in train]


def _sampled(config: TrainConfig, asked: Sequence[Group]) -> list[Group]:
    """Sample rollouts of the starting policy, without a look at any reference."""
    folder = Path(config.output)
    if not (folder / _EXPERIENCE).exists():
        write_groups(folder / _ASKED_FIRST, (replace(group, truth=Truth()) for group in asked))
        collect(_collecting(config, folder))
    return list(read_groups(folder / _EXPERIENCE))


def _collecting(config: TrainConfig, folder: Path) -> CollectConfig:
    grpo = config.grpo
    return CollectConfig(
        str(folder / _EXPERIENCE),
        SamplingConfig(config.model, grpo.rollouts, grpo.temperature, grpo.top_p, grpo.max_new_tokens, grpo.seed),
        (str(folder / _ASKED_FIRST),),
        LocalConfig(dtype=grpo.computes_in, device=grpo.device),
        templates=config.templates,
    )


@dataclass(frozen=True)
class _Tools:
    """What turns rollouts into numbers."""

    encoder: str | Encoder
    reader: RolloutReader | None
    runner: RolloutRunner | None


def _predictor(
    config: TrainConfig,
    settings: PredictorConfig,
    memory: ExperienceMemory,
    budget: Budget,
    tools: _Tools,
    progress: Progress,
    queries: Sequence[str],
) -> RewardPredictor:
    folder = Path(config.output) / "predictor"
    if not folder.exists():
        made = RewardPredictor.warmup(
            memory,
            budget=budget,
            seed=config.grpo.seed,
            config=settings,
            encoder=tools.encoder,
            reader=tools.reader,
            runner=tools.runner,
            queries=queries,
            progress=lambda done, of: progress("training the predictor", done, of),
        )
        unfinished = folder.with_name(f"{folder.name}.partial")
        made.save(unfinished)
        unfinished.replace(folder)
    return RewardPredictor.load(folder, memory, encoder=tools.encoder, reader=tools.reader, runner=tools.runner)


def _reader(config: TrainConfig) -> RolloutReader | None:
    if not config.reader:
        return None
    from transformers import AutoTokenizer

    from memreward.features.policy_reader import PolicyReader
    from memreward.features.reader import Reader, ReaderConfig

    if config.reader != POLICY_READS:
        return Reader(ReaderConfig(config.reader))
    tokenizer = AutoTokenizer.from_pretrained(config.model)
    # What training samples with is what rollouts of a file are read under.
    chat = partial(chat_of, folder=config.templates)
    if not config.keeps_states:
        return PolicyReader(tokenizer, Reader(ReaderConfig(config.model), chat=chat))
    other = Reader(ReaderConfig(config.model, pooling="both"), chat=chat)
    states = DiskVectorStore(_STATES, Path(config.output) / _STATES, only_copy=True)
    return PolicyReader(tokenizer, other, states=states, width=other.hidden_size)


def _runner(config: TrainConfig) -> RolloutRunner | None:
    if not config.execute:
        return None
    from memreward.features.behaviour import NAMESPACE, CodeRunner
    from memreward.sandbox import Sandbox

    return CodeRunner(Sandbox(), DiskVectorStore(NAMESPACE))


def _refuse_unjudged(memory: ExperienceMemory, drawn: Sequence[str]) -> None:
    """Warmup is to learn from the very questions that training may judge."""
    if unjudged := memory.ledger.ineligible(drawn):
        raise LabelError(
            f"{len(unjudged)} of the {len(drawn)} questions drawn for labels have no judged rollout to warm up on, "
            f"e.g. {min(unjudged)!r}: leave them out of the questions, or judge their rollouts (memreward verify); no "
            "label was read yet"
        )
