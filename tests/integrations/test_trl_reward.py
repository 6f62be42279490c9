"""A reward of ours among the trainer's reward functions: a real GRPOTrainer with a tiny random model."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from datasets import Dataset, IterableDataset
from rewarding import reward_of
from sums import Call, Sums, sample_call
from tiny_model import tiny_model, tiny_tokenizer

from memreward.data.chat import query_id_of
from memreward.evaluation.metrics import advantages
from memreward.integrations.rows import query_ids
from memreward.integrations.trl import RewardFunction, callback
from memreward.integrations.trl_reward import check_questions
from memreward.memory import ExperienceMemory
from memreward.reward import Judged, PolicyReward
from memreward.reward.predictor import RewardPredictor
from memreward.reward.valuers import HardMajority, Nothing
from memreward.types import ConfigurationError, DataError, NoRewardError, Rollout, UnknownDomainError

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore"), pytest.mark.timeout(280)]

SIZE = 4
GROUPS = np.repeat([0, 1], SIZE)


class Texts:
    """TRL's `rollout_func`: the completions of each question are those that a test has written for it."""

    def __init__(self, texts: dict[str, list[str]]) -> None:
        self.texts = texts

    def __call__(self, prompts: Sequence[str], trainer: Any) -> dict[str, Any]:
        tokens, seen = trainer.processing_class, dict.fromkeys(self.texts, 0)
        given = []
        for prompt in prompts:
            given.append(self.texts[prompt][seen[prompt]])
            seen[prompt] += 1
        return {
            "prompt_ids": [tokens(text=prompt)["input_ids"] for prompt in prompts],
            "completion_ids": [tokens(text=text)["input_ids"] for text in given],
            "logprobs": None,
        }


def trained(
    folder: Any,
    functions: Any,
    rows: Sequence[dict[str, Any]],
    *,
    callbacks: Any = (),
    rollouts: Any = None,
    **more: Any,
) -> Any:
    """Train one step; what `inputs` had as the loss was computed stands in `trainer.lost`."""
    from trl import GRPOConfig, GRPOTrainer

    class Listening(GRPOTrainer):  # type: ignore[misc, unused-ignore]
        def _compute_loss(self, model: Any, inputs: Any) -> Any:
            texts = [self.processing_class.decode(row, skip_special_tokens=True) for row in inputs["completion_ids"]]
            self.lost = dict(zip(texts, inputs["advantages"].tolist(), strict=True))
            return super()._compute_loss(model, inputs)

    plain = {"use_cpu": True, "bf16": False, "max_steps": 1, "report_to": "none", "save_strategy": "no"}
    sizes = {"per_device_train_batch_size": 2 * SIZE, "num_generations": SIZE, "max_completion_length": 24}
    tokenizer = tiny_tokenizer()
    tokenizer.pad_token = "<|end|>"  # Qwen2's own is not in this vocabulary
    trainer = Listening(
        model=tiny_model(),
        reward_funcs=functions,
        args=GRPOConfig(str(folder), disable_tqdm=True, **{"scale_rewards": "none", **plain, **sizes, **more}),
        train_dataset=Dataset.from_list(list(rows)),
        processing_class=tokenizer,
        callbacks=list(callbacks),
        rollout_func=rollouts,
    )
    trainer.train()
    return trainer


def said(sums: Sums, number: int, *offs: int) -> list[str]:
    """Different texts of one question, without the spaces that the tiny tokenizer loses."""
    return [f"{place}:{sums.text(number, off=off)}".replace(" ", "") for place, off in enumerate(offs)]


def length(completions: Sequence[str], **_: Any) -> list[float]:
    return [float(len(text) % 7) for text in completions]


@pytest.mark.parametrize("beside", [False, True], ids=["alone", "beside another function"])
def test_the_advantages_that_reach_the_loss_are_the_expected_ones(
    tmp_path: Any, sums: Sums, predictor: RewardPredictor, labelled: list[int], unlabelled: list[int], beside: bool
) -> None:
    """Of a labelled group the true standardised ones; beside another function, that one's centred rewards are added."""
    known, other = labelled[0], unlabelled[0]
    texts = {
        sums.query(known).text: said(sums, known, 0, 1, 0, 2),
        sums.query(other).text: said(sums, other, 0, 0, 3, 4),
    }
    judged: list[tuple[Sequence[Rollout], Judged]] = []
    function = reward_of(predictor)
    function.reward.observer = lambda *given: judged.append(given)  # type: ignore[attr-defined]
    rows = [{"prompt": sums.query(number).text, "query_id": f"q{number}"} for number in (known, other)]
    functions = [function, length] if beside else function
    trainer = trained(tmp_path / "run", functions, rows, callbacks=[callback(function)], rollouts=Texts(texts))
    ((rollouts, found),) = judged
    expected = dict(zip([rollout.text for rollout in rollouts], found.advantage.tolist(), strict=True))
    assert expected.keys() == trainer.lost.keys()
    true = advantages([1.0, 0.0, 1.0, 0.0], np.zeros(SIZE), scaled=True)
    assert [expected[text] for text in texts[sums.query(known).text]] == pytest.approx(true.tolist())
    of_other = np.array([expected[text] for text in texts[sums.query(other).text]])
    assert of_other[0] == pytest.approx(of_other[1])
    assert of_other[0] > 0.1
    assert np.abs(of_other).max() < 1.2  # doubt shrinks it below the standardised 1.5
    for group in texts.values():
        added = np.array(length(group)) - np.mean(length(group)) if beside else np.zeros(SIZE)
        wanted = np.array([expected[text] for text in group]) + added
        assert [trainer.lost[text] for text in group] == pytest.approx(wanted.tolist(), abs=1e-5)


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({"scale_rewards": "group"}, 'scale_rewards="none"'),
        ({"multi_objective_aggregation": "normalize_then_sum"}, "sum_then"),
    ],
)
@pytest.mark.parametrize("with_callback", [True, False])
@pytest.mark.slow
def test_a_trainer_that_would_standardise_advantages_again_is_refused(
    tmp_path: Any, sums: Sums, predictor: RewardPredictor, settings: dict[str, str], named: str, with_callback: bool
) -> None:
    function = reward_of(predictor)
    rows = [{"prompt": sums.query(number).text, "query_id": f"q{number}"} for number in (0, 1)]
    before = predictor.memory.counts()
    with pytest.raises(ConfigurationError, match=named):
        trained(tmp_path / "run", function, rows, callbacks=[callback(function)] if with_callback else [], **settings)
    assert predictor.memory.counts() == before


def test_probabilities_are_standardised_by_the_trainer(
    tmp_path: Any, sums: Sums, predictor: RewardPredictor, unlabelled: list[int]
) -> None:
    function = reward_of(predictor, rewards="probability")
    numbers = unlabelled[:2]
    texts = {sums.query(n).text: said(sums, n, 0, 0, 3, 4) for n in numbers}
    rows = [{"prompt": sums.query(n).text, "query_id": f"q{n}"} for n in numbers]
    judged: list[Any] = []
    function.reward.observer = lambda *given: judged.append(given)  # type: ignore[attr-defined]
    trainer = trained(tmp_path / "run", function, rows, rollouts=Texts(texts), scale_rewards="group")
    ((rollouts, found),) = judged
    standardised = advantages(found.probability, GROUPS, scaled=True)
    got = [trainer.lost[rollout.text] for rollout in rollouts]
    assert got == pytest.approx(standardised.tolist(), abs=2e-2)  # TRL adds 1e-4 to the deviation


def test_an_abstention_adds_nothing_and_the_other_function_alone_decides(
    tmp_path: Any, sums: Sums, predictor: RewardPredictor
) -> None:
    texts = {sums.query(n).text: [text * (i + 1) for i, text in enumerate(said(sums, n, *range(SIZE)))] for n in (0, 1)}
    function = RewardFunction(PolicyReward(predictor.memory, Nothing()))
    rows = [{"prompt": sums.query(n).text, "query_id": f"q{n}"} for n in (0, 1)]
    trainer = trained(tmp_path / "run", [function, length], rows, rollouts=Texts(texts), max_completion_length=200)
    for group in texts.values():
        centred = np.array(length(group)) - np.mean(length(group))
        assert [trainer.lost[text] for text in group] == pytest.approx(centred.tolist(), abs=1e-5)


class OneUnreadable(RewardFunction):
    """Cannot read the first completion of each group."""

    def _read(self, *given: Any) -> Any:
        return [row._replace(unreadable="odd") if row.text.startswith("0:") else row for row in super()._read(*given)]


def test_a_row_without_a_reward_gets_no_advantage_in_its_group_beside_another_function(
    tmp_path: Any, sums: Sums, predictor: RewardPredictor, unlabelled: list[int]
) -> None:
    texts = {sums.query(n).text: said(sums, n, 0, 0, 0, 3) for n in unlabelled[:2]}
    function = OneUnreadable(PolicyReward(predictor.memory, HardMajority(), rewards="probability"))
    rows = [{"prompt": sums.query(n).text, "query_id": f"q{n}"} for n in unlabelled[:2]]
    trainer = trained(tmp_path / "run", [function, length], rows, rollouts=Texts(texts))
    for group in texts.values():
        others = np.array(length(group)) - np.mean(length(group))
        added = np.array([trainer.lost[text] for text in group]) - others
        assert added.tolist() == pytest.approx([0.0, 1 / 3, 1 / 3, -2 / 3], abs=1e-5)


@pytest.mark.parametrize(
    ("columns", "error", "named"),
    [
        ({"domain": "maths"}, UnknownDomainError, "'maths' is unknown; did you mean 'math'"),
        ({}, DataError, "neither in memory nor have a domain"),
        ({"domain": "math", "query_id": 1.5}, DataError, "row 0: query_id 1.5"),
    ],
)
def test_a_data_set_that_says_too_little_is_refused_before_the_first_step(
    tmp_path: Any, predictor: RewardPredictor, columns: dict[str, Any], error: type[Exception], named: str
) -> None:
    function = reward_of(predictor)
    rows = [{"prompt": f"What is {i} and {i}?", **columns} for i in range(2)]
    before = predictor.memory.counts()
    with pytest.raises(error, match=named):
        trained(tmp_path / "run", function, rows, callbacks=[callback(function)])
    assert predictor.memory.counts() == before


def test_without_the_callback_a_step_without_any_reward_ends_the_training(
    tmp_path: Any, predictor: RewardPredictor
) -> None:
    rows = [{"prompt": f"What is {i} and {i}?", "query_id": f"new{i}", "domain": "maths"} for i in range(2)]
    with pytest.raises(NoRewardError, match=r"all 8 for one cause.*did you mean 'math'"):
        trained(tmp_path / "run", reward_of(predictor), rows)


def test_steps_that_abstain_by_intention_or_for_several_causes_go_on(predictor: RewardPredictor) -> None:
    silent = RewardFunction(PolicyReward(ExperienceMemory.in_memory(), Nothing()))
    assert silent(["?"] * 2, ["a", "b"], domain=["math"] * 2) == [0.0, 0.0]
    assert reward_of(predictor)(["?"] * 2, ["a", b"b"], query_id=["new", "q0"]) == [0.0, 0.0]


@pytest.mark.parametrize(
    ("columns", "reason"),
    [
        ({"query_id": [1.5, "nobody knows"]}, "column 'query_id'"),
        ({"query_id": ["nobody knows", "q0"]}, "column 'domain'"),
        ({"query_id": ["nobody knows", "q0"], "domain": ["cookery"] * 2}, "cookery"),
    ],
)
def test_rows_that_cannot_be_read_abstain_with_their_reason(
    sums: Sums, predictor: RewardPredictor, caplog: pytest.LogCaptureFixture, columns: dict[str, Any], reason: str
) -> None:
    call = Call([0, 0], [sums.text(0), b"?"]).of(reward_of(predictor), sums, **columns)  # type: ignore[list-item]
    assert call.rewards == [0.0, 0.0]
    assert any(reason in text for text in call.extra["memreward/reason"])
    assert any(reason in message for message in caplog.messages)
    assert (call.metrics["memreward/abstained"], call.metrics["memreward/failures"]) == (1, 2)


def test_one_odd_row_costs_the_others_nothing(sums: Sums, predictor: RewardPredictor, unlabelled: list[int]) -> None:
    call = sample_call(sums, [unlabelled[0]], seed=3)
    alone = Call(call.numbers, call.texts).of(reward_of(predictor), sums)
    odd = Call([*call.numbers, 0], [*call.texts, "?"])
    names = [f"q{n}" for n in call.numbers]
    odd.of(reward_of(predictor), sums, query_id=[*names, "nobody"])
    assert odd.rewards == pytest.approx([*alone.rewards, 0.0])


def test_a_new_question_needs_its_columns_alone_and_its_reference_is_sealed(predictor: RewardPredictor) -> None:
    function = reward_of(predictor, labelled=["new1"])
    chats = [
        [{"role": "system", "content": "Be brief."}, {"role": "user", "content": f"What is 1 plus {n}?"}]
        for n in (1, 2)
    ]
    extra: dict[str, list[Any]] = {}
    got = function(
        [chats[0], chats[0], chats[1]],
        [[{"role": "assistant", "content": text}] for text in ("#### 2", "#### 4", "#### 3")],
        [[0]] * 3,
        log_extra=extra.__setitem__,
        query_id=["new1", "new1", "new2"],
        domain=["math"] * 3,
        reference=["2", "2", "3"],
    )
    assert got == pytest.approx([0.5**0.5, -(0.5**0.5), 0.0])
    assert extra["memreward/source"] == ["truth", "truth", "predicted"]
    known = {group.query.id: group for group in predictor.memory.groups(["new1", "new2"])}
    assert known["new1"].query.text == "What is 1 plus 1?"
    assert [r.answer for r in known["new1"].rollouts] == ["2", "4"]
    assert "new2" not in {entry.query_id for entry in predictor.memory.ledger.entries()}


def test_the_reference_column_of_an_unlabelled_question_changes_nothing(
    sums: Sums, predictor: RewardPredictor, labelled: list[int], unlabelled: list[int]
) -> None:
    paid = []
    for secret in ("-7", str(sum(sums.asked[unlabelled[0]]))):
        call = sample_call(sums, [labelled[0], unlabelled[0]], seed=1)
        column = [secret if n in unlabelled else str(sum(sums.asked[n])) for n in call.numbers]
        paid.append(call.of(reward_of(predictor), sums, reference=column).rewards)
    assert paid[0] == paid[1]


@pytest.mark.parametrize("ids", [{}, {"query_id": [10, 10, 11, 11]}, {"query_id": list(np.arange(4) // 2)}])
def test_questions_need_no_id_or_one_of_integers(predictor: RewardPredictor, ids: dict[str, Any]) -> None:
    prompts = [[{"role": "user", "content": f"What is {i} plus {i}?"}] for i in (7, 7, 8, 8)]
    metrics: dict[str, float] = {}
    texts = ["#### 14", "#### 3", "#### 16", "#### 16"]
    reward_of(predictor)(prompts, texts, domain=["math"] * 4, log_metric=metrics.__setitem__, **ids)
    assert (metrics["memreward/predicted"], metrics["memreward/failures"]) == (1, 0)
    names = query_ids(prompts, ids)
    assert len(set(names)) == 2
    assert {group.query.text for group in predictor.memory.groups(names)} == {  # type: ignore[arg-type]
        "What is 7 plus 7?",
        "What is 8 plus 8?",
    }


def test_a_questions_own_text_names_it_whatever_the_prompt_around_it() -> None:
    assert query_ids(["Think. What is 1?"], {"query": ["What is 1?"]}) == [query_id_of("What is 1?")]
    assert query_ids([7], {}) == query_ids(["?"], {"query_id": [True]}) == [None]


def test_a_data_set_of_other_questions_than_the_labelled_is_pointed_out(
    predictor: RewardPredictor, caplog: pytest.LogCaptureFixture
) -> None:
    reward = reward_of(predictor).reward
    rows = [{"prompt": "What is 9?", "query_id": "elsewhere", "domain": "math"}]
    check_questions(IterableDataset.from_generator(lambda: iter(rows)), reward)
    assert "none of the data set's questions is labelled" in caplog.text
    caplog.clear()
    check_questions(Dataset.from_list([{"prompt": "What is 9?", "query_id": min(reward.labelled)}]), reward)
    assert caplog.text == ""


def test_the_callback_takes_the_function_that_the_trainer_has(predictor: RewardPredictor) -> None:
    with pytest.raises(ConfigurationError, match=r"callback\(function\)"):
        callback(reward_of(predictor).reward)  # type: ignore[arg-type]
