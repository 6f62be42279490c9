"""What training starts from: questions, the labelled ones among them, rollouts of the starting policy, the reward."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from memreward.answers.choose import proposals
from memreward.answers.model import AnswerModel
from memreward.answers.prior import RewardPrior
from memreward.data import load_questions, read_groups, write_groups
from memreward.domains import VerdictCache, Verifiers
from memreward.features.behaviour import runner_for
from memreward.features.cache import default_cache_folder
from memreward.features.featurizer import Featurizer, RolloutRunner
from memreward.memory import FROM_FILE, Budget, ExperienceMemory, label
from memreward.policy.collect import CollectConfig, collect
from memreward.reward.policy import PolicyReward
from memreward.reward.predictor import WARMUP, RewardPredictor
from memreward.reward.valuers import Answers, Graph, HardMajority, Majority, Nothing, Valuer
from memreward.temporary import write_whole
from memreward.training.config import ANSWERS, PAPER, Arm, ChoiceRule, TrainConfig, arm_named
from memreward.types import ConfigurationError, Encoder, Group, LabelError, Progress

MEMORY = "memory"
"""Folder of the memory inside the output."""
_EXPERIENCE = "experience.jsonl.gz"
_ASKED_FIRST = "asked_first.jsonl"
_LABELS = "labels.json"
_PLAIN: Mapping[str, Callable[[], Valuer]] = {"shares": Majority, "majority": HardMajority, "nothing": Nothing}
"""What needs no warmup."""


@dataclass(frozen=True)
class Prepared:
    """What training starts from; `groups` are the questions that are asked, without rollouts."""

    reward: PolicyReward
    groups: Sequence[Group]
    labelled: frozenset[str]
    memory: ExperienceMemory


def prepare(
    config: TrainConfig,
    encoder: str | Encoder,
    progress: Progress,
    *,
    arm: Arm | None = None,
    others: Mapping[str, Callable[[], Valuer]] | None = None,
    order: Sequence[str] | None = None,
    choose: ChoiceRule | None = None,
) -> Prepared:
    """Fill the memory, draw the labelled questions, warm up what the arm has to warm up, and make the reward.

    What an earlier call for the same output has done is not done again. `others` makes the valuers of arms that are
    none of `memreward train`'s, by name; queries are labelled in `order`, where given, else as `choose` says. None
    takes those whose advantages are most uncertain where experience has rollouts of all, and draws where they would
    have to be sampled first.
    """
    arm = arm or arm_named(config.arm)
    memory = ExperienceMemory.open(Path(config.output) / MEMORY)
    verifiers = Verifiers(config.verify, cache=VerdictCache(default_cache_folder()))
    given = [group for file in config.experience for group in read_groups(file)]
    asked = load_questions(*(config.questions or config.experience), seed=config.sampling.seed)
    _refuse_unready(config, asked, verifiers)
    memory.add(asked)
    names = {group.query.id for group in asked}
    own = [group for group in given if group.query.id in names]
    budget = arm.budget(config.labels)
    rule = choose or ("advantage" if names <= {group.query.id for group in own} else "random")
    if order is None and rule == "advantage" and arm.labels == "share":
        own = own or _sampled(config, asked, progress)
        order = _most_uncertain_first(config, own)
    drawn = memory.ledger.choose(budget, config.sampling.seed, among=sorted(names), by="references", order=order)
    if arm.only_labelled:
        _refuse_too_few(len(drawn), config, "labelled questions")
    labelled = frozenset[str]() if arm.labels == "none" else frozenset(drawn)
    runner = runner_for(config.execute)
    if arm.valuer in (ANSWERS, PAPER):
        if given:
            memory.add(own)
            _refuse_unjudged(memory, drawn)
        else:
            asked_of = {group.query.id: group for group in asked}
            memory.add(own or _sampled(config, [asked_of[query_id] for query_id in drawn], progress))
            label(memory, sorted(labelled), verifiers, budget, WARMUP)
        if arm.valuer == ANSWERS:
            valuer, featurizer = _answers(config, memory, asked, drawn, budget, runner, progress)
        else:
            valuer, featurizer = _paper(config, memory, drawn, budget, Featurizer(_loaded(encoder), runner))
    else:
        valuer, featurizer = {**_PLAIN, **(others or {})}[arm.valuer](), Featurizer(runner=runner)
    made = PolicyReward(
        memory,
        valuer,
        featurizer=featurizer,
        labelled=labelled,
        rewards=arm.rewards,
        budget=budget,
        verifiers=verifiers,
    )
    if arm.only_labelled:
        asked = [group for group in asked if group.query.id in labelled]
    return Prepared(made, asked, labelled, memory)


def _most_uncertain_first(config: TrainConfig, groups: Sequence[Group]) -> list[str]:
    rollouts = [rollout for group in groups for rollout in group.rollouts]
    features = Featurizer(runner=runner_for(config.execute)).features(rollouts)
    prior = RewardPrior.load(config.prior).without(group.query for group in groups)
    model = AnswerModel(prior).fit(features, np.full(len(rollouts), -1, np.int8))
    return [proposal.query_id for proposal in proposals(model, features)]


def _refuse_unready(config: TrainConfig, asked: Sequence[Group], verifiers: Verifiers) -> None:
    """Refuse, before a label is spent, what would end the training after it."""
    _refuse_too_few(len(asked), config, "questions")
    RewardPrior.load(config.prior)
    verifiers.refuse_uncontained(asked)


def _refuse_too_few(questions: int, config: TrainConfig, kind: str) -> None:
    if questions < (size := config.grpo.groups_per_step):
        raise ConfigurationError(
            f"{questions} {kind} are fewer than the {size} of a step: lower --groups-per-step, or name more"
        )


def _sampled(config: TrainConfig, asked: Sequence[Group], progress: Progress) -> list[Group]:
    if not asked:
        return []
    folder = Path(config.output)
    if not (folder / _EXPERIENCE).exists():
        write_groups(folder / _ASKED_FIRST, (group.unlabelled() for group in asked))
        collect(_collecting(config, folder), progress=progress)
    return list(read_groups(folder / _EXPERIENCE))


def _collecting(config: TrainConfig, folder: Path) -> CollectConfig:
    asked = (str(folder / _ASKED_FIRST),)
    return CollectConfig(str(folder / _EXPERIENCE), asked, config.templates, sampling=config.sampling)


def _answers(
    config: TrainConfig,
    memory: ExperienceMemory,
    asked: Sequence[Group],
    drawn: Sequence[str],
    budget: Budget,
    runner: RolloutRunner | None,
    progress: Progress,
) -> tuple[Valuer, Featurizer]:
    """The answer model, warmed up once on the drawn queries with a prior that knows none of the questions asked."""
    prior, folder = RewardPrior.load(config.prior).without(group.query for group in asked), _predictor_of(config)
    if not any(group.rollouts for group in memory.groups()):
        return Answers(AnswerModel(prior)), Featurizer(runner=runner)
    if not folder.exists():
        made = RewardPredictor.warmup(
            memory,
            budget=budget,
            seed=config.sampling.seed,
            prior=prior,
            queries=drawn,
            runner=runner,
            progress=progress,
        )
        made.save(folder)
    loaded = RewardPredictor.load(folder, memory, runner=runner)
    return Answers(loaded.model), loaded.featurizer


def _paper(
    config: TrainConfig, memory: ExperienceMemory, drawn: Sequence[str], budget: Budget, featurizer: Featurizer
) -> tuple[Valuer, Featurizer]:
    """The paper's network, fitted on what was labelled before training, the same when it goes on, and frozen."""
    from memreward.network.scorer import paper

    kept = _predictor_of(config) / _LABELS
    if not kept.exists():
        labels = label(memory, drawn, FROM_FILE, budget, WARMUP).labels
        write_whole(kept, json.dumps({one.rollout_id: one.correct for one in labels}))
    told = json.loads(kept.read_text(encoding="utf-8"))
    rollouts = [rollout for rollout in memory.rollouts_of(list(drawn)) if rollout.id in told]
    verdicts = np.array([told[rollout.id] for rollout in rollouts], np.int8)
    return Graph(paper(config.sampling.seed).fit(featurizer.features(rollouts), verdicts)), featurizer


def _loaded(encoder: str | Encoder) -> Encoder:
    from memreward.network.encoder import load_encoder

    return load_encoder(encoder) if isinstance(encoder, str) else encoder


def _predictor_of(config: TrainConfig) -> Path:
    return Path(config.output) / "predictor"


def _refuse_unjudged(memory: ExperienceMemory, drawn: Sequence[str]) -> None:
    """Warmup is to learn from the very questions that training may judge."""
    if unjudged := memory.ledger.ineligible(drawn):
        raise LabelError(
            f"{len(unjudged)} of the {len(drawn)} questions drawn for labels have no judged rollout to warm up on, "
            f"e.g. {min(unjudged)!r}: leave them out of the questions, or judge their rollouts (memreward verify); no "
            "label was read yet"
        )
