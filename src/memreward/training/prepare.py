"""What training starts from: questions, the labelled ones among them, rollouts of the starting policy, the reward."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from memreward.data import load_questions, read_groups, write_groups
from memreward.data.questions import without_rollouts
from memreward.features.cache import default_cache_folder
from memreward.memory import Budget, ExperienceMemory
from memreward.policy.collect import CollectConfig, collect
from memreward.policy.settings import LocalConfig, SamplingConfig
from memreward.predict.config import PredictorConfig
from memreward.predict.reward_predictor import WARMUP, RewardPredictor
from memreward.reward.hybrid import HybridConfig, HybridReward
from memreward.training.config import TrainConfig
from memreward.types import Claim, ConfigurationError, Encoder, Group, Truth
from memreward.verify import VerdictCache, Verifiers

Progress = Callable[[str, int, int], None]

_EXPERIENCE = "experience.jsonl.gz"
_ASKED_FIRST = "labelled.jsonl"


@dataclass(frozen=True)
class Prepared:
    """What training starts from.

    Attributes:
        reward: The reward function.
        groups: The questions that are asked, without rollouts.
        labelled: Ids of the labelled ones.
        memory: Its ledger has what was spent.
    """

    reward: HybridReward
    groups: Sequence[Group]
    labelled: frozenset[str]
    memory: ExperienceMemory


def prepare(config: TrainConfig, reward: HybridConfig | None, encoder: str | Encoder, progress: Progress) -> Prepared:
    """Fill the memory, spend the label budget, warm the predictor up, and make the reward.

    What an earlier call for the same output has done is not done again.

    Args:
        config: What to train.
        reward: Settings of the reward; None takes those of the arm.
        encoder: Of texts.
        progress: Told of a stage, what is done and of how much.

    Raises:
        MemRewardError: a question file, model, budget or setting cannot be used.
    """
    folder = Path(config.output)
    memory = ExperienceMemory.open(folder / "memory")
    verifiers = Verifiers(config.verify, cache=VerdictCache(default_cache_folder()))
    given = [group for file in config.experience for group in read_groups(file)]
    asked = _questions(config, given)
    memory.add(asked)
    budget = _budget(config)
    if given:
        memory.add(given)
    else:
        memory.add(_first_rollouts(config, asked, memory, budget, verifiers))
    predictor = _predictor(config, memory, budget, encoder, progress)
    settings = reward or (HybridConfig.paper() if config.arm == "paper" else HybridConfig())
    labelled = frozenset(label.query_id for label in memory.ledger.labels(WARMUP))
    made = HybridReward(predictor, labelled=labelled, config=settings, budget=budget, verifiers=verifiers)
    if config.arm == "labelled":
        asked = [group for group in asked if group.query.id in labelled]
    return Prepared(made, asked, labelled, memory)


def _questions(config: TrainConfig, experience: Sequence[Group]) -> list[Group]:
    if not config.questions:
        return [without_rollouts(group) for group in experience]
    found = [group for source in config.questions for group in load_questions(source, seed=config.grpo.seed)]
    if len({group.query.id for group in found}) < len(found):
        raise ConfigurationError("a question is asked twice: name each source of --questions once")
    return found


def _budget(config: TrainConfig) -> Budget:
    if config.arm == "oracle":
        return Budget(queries=1.0)
    return Budget(queries=config.labels if config.labels <= 1 else int(config.labels))


def _first_rollouts(
    config: TrainConfig, asked: Sequence[Group], memory: ExperienceMemory, budget: Budget, verifiers: Verifiers
) -> list[Group]:
    """Sample rollouts of the labelled questions from the starting policy, with verdicts, sealed until warmup."""
    folder, seed = Path(config.output), config.grpo.seed
    chosen = memory.ledger.choose(budget, seed, among=[group.query.id for group in asked], by="references")
    if not (folder / _EXPERIENCE).exists():
        names = set(chosen)
        write_groups(folder / _ASKED_FIRST, (group for group in asked if group.query.id in names))
        collect(_collecting(config, folder))
    groups = list(read_groups(folder / _EXPERIENCE))
    references = memory.ledger.release_references(chosen, use=WARMUP, budget=budget)
    claims = [Claim(rollout, references[group.query.id]) for group in groups for rollout in group.rollouts]
    correct = iter([verdict.correct for verdict in verifiers.verify(claims)])
    return [
        replace(group, truth=Truth(group.truth.reference, tuple(next(correct) for _ in group.rollouts)))
        for group in groups
    ]


def _collecting(config: TrainConfig, folder: Path) -> CollectConfig:
    grpo = config.grpo
    return CollectConfig(
        str(folder / _EXPERIENCE),
        SamplingConfig(config.model, grpo.rollouts, grpo.temperature, grpo.top_p, grpo.max_new_tokens, grpo.seed),
        (str(folder / _ASKED_FIRST),),
        LocalConfig(dtype=grpo.computes_in, device=grpo.device),
        templates=config.templates,
    )


def _predictor(
    config: TrainConfig, memory: ExperienceMemory, budget: Budget, encoder: str | Encoder, progress: Progress
) -> RewardPredictor:
    folder = Path(config.output) / "predictor"
    if not folder.exists():
        settings = PredictorConfig.preset("paper") if config.arm == "paper" else config.predictor
        RewardPredictor.warmup(
            memory,
            budget=budget,
            seed=config.grpo.seed,
            config=settings,
            encoder=encoder,
            progress=lambda done, of: progress("training the predictor", done, of),
        ).save(folder)
    return RewardPredictor.load(folder, memory, encoder=encoder)
