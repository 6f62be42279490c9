"""TRL: questions as a data set, a reward as reward function, and a callback that checks and checkpoints."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from memreward.data import groups_from_rows
from memreward.data.formats import Reading
from memreward.integrations.trl_reward import RemoteRewardFunction as RemoteRewardFunction
from memreward.integrations.trl_reward import RewardFunction as RewardFunction
from memreward.integrations.trl_reward import check_arguments, check_questions
from memreward.memory import ExperienceMemory
from memreward.policy.prompts import load_template
from memreward.types import ConfigurationError, Group, MissingExtraError

if TYPE_CHECKING:
    from transformers import TrainerCallback

STATE_FOLDER = "memreward"
"""Folder inside a checkpoint that holds the reward's state; `RewardFunction.restore` reads it."""


def questions(groups: Iterable[Group], *, templates: str = "") -> Any:
    """Return a `datasets.Dataset` with the columns "prompt" (a chat) and those that `RewardFunction` reads.

    Ground truth is left out: the ledger of the reward's memory has it, or nobody. Rollouts are not looked at, and a
    query that comes twice is asked once. Raises ConfigurationError where there is no query, or a template is broken.
    """
    if find_spec("datasets") is None:
        raise MissingExtraError("datasets", "train", "a data set of questions")
    from datasets import Dataset

    queries = {group.query.id: group.query for group in groups}
    if not queries:
        raise ConfigurationError("there is no question to train on: give groups with queries, e.g. memory.groups()")
    return Dataset.from_list(
        [
            {
                "prompt": load_template(query, templates).messages(query.text),
                "query_id": query.id,
                "query": query.text,
                "domain": query.domain,
                "dataset": query.dataset,
            }
            for query in queries.values()
        ]
    )


def prepare(
    dataset: Iterable[Mapping[str, Any]],
    *,
    question: str,
    domain: str,
    reference: str | None = None,
    memory: ExperienceMemory | None = None,
    id: str | None = None,
    templates: str = "",
) -> Any:
    """Return the `datasets.Dataset` of `questions` for a data set with columns of any name; others are left out.

    References go into `memory`, sealed, and not into the data set: the ledger counts those that are used.

    Args:
        question: Column of the question, a text or a chat; by path where it stands in an object,
            "extra_info.question".
        domain: "math", "qa", "code", "other", or the column that says so.
        id: Column of the question's id; None names it by a hash of its text.

    Raises:
        ConfigurationError: references are given and no memory.
        DataError: a column is not there (the nearest is named), or a row cannot be read.
    """
    if reference is not None and memory is None:
        raise ConfigurationError(
            "references are sealed in a memory, which counts what is used: give memory=ExperienceMemory.open(...)"
        )
    reading = Reading(question=question, answer=reference, domain=domain, id=id)
    groups = [group.question() for group in groups_from_rows(dataset, reading)]
    if memory is not None:
        memory.add(groups if reference is not None else [group.unlabelled() for group in groups])
    return questions(groups, templates=templates)


def callback(function: RewardFunction) -> TrainerCallback:
    """Return a callback for `GRPOTrainer(callbacks=[...])`.

    Before the first step it refuses settings that would standardise advantages again (`check_arguments`), and a data
    set of which the reward could say nothing (`check_questions`). It writes the reward's state into every checkpoint,
    under `STATE_FOLDER`.

    Raises:
        ConfigurationError: this is no `RewardFunction`.
        MissingExtraError: transformers is not installed.
    """
    if not isinstance(function, RewardFunction):
        raise ConfigurationError(
            f"callback takes the reward function that the trainer has, and got a {type(function).__name__}: "
            "function = RewardFunction(HybridReward(...)); GRPOTrainer(..., reward_funcs=function, "
            "callbacks=[callback(function)])"
        )
    if find_spec("transformers") is None:
        raise MissingExtraError("transformers", "train", "training with TRL")
    from transformers import TrainerCallback

    class RewardCallback(TrainerCallback):  # type: ignore[misc, unused-ignore]
        def on_train_begin(
            self,
            args: Any,
            state: Any,  # noqa: ARG002
            control: Any,  # noqa: ARG002
            train_dataloader: Any = None,
            **_: Any,
        ) -> None:
            check_arguments(args, function.reward)
            if train_dataloader is not None:
                check_questions(train_dataloader.dataset, function.reward)

        def on_save(self, args: Any, state: Any, control: Any, **_: Any) -> None:  # noqa: ARG002
            if state.is_world_process_zero:
                function.save(Path(args.output_dir) / f"checkpoint-{state.global_step}" / STATE_FOLDER)

    return RewardCallback()
