"""What the adapters ask of the service, and which settings of trainers they refuse; without the trainers."""

from __future__ import annotations

import json
from typing import Any

import pytest

from memreward.integrations.openrlhf import asked_of as openrlhf_asked
from memreward.integrations.openrlhf import check_options
from memreward.integrations.verl_rows import asked_of, check_algorithm, checked_kwargs
from memreward.types import ConfigurationError, DataError

CENTRED = {"adv_estimator": "grpo", "norm_adv_by_std_in_grpo": False}


def test_verl_must_only_centre() -> None:
    check_algorithm(CENTRED)
    for change in ({"norm_adv_by_std_in_grpo": True}, {"adv_estimator": "gae"}, {"use_kl_in_reward": True}):
        with pytest.raises(ConfigurationError, match="set algorithm"):
            check_algorithm({**CENTRED, **change})
    with pytest.raises(ConfigurationError, match="norm_adv_by_std_in_grpo=False"):
        check_algorithm({"adv_estimator": "grpo"})


def test_verl_settings_must_say_domain_and_size() -> None:
    checked_kwargs({"domain": "math", "size": 8}, size=True)
    with pytest.raises(ConfigurationError, match=r"reward_kwargs\.domain"):
        checked_kwargs({})
    with pytest.raises(ConfigurationError, match=r"reward_kwargs\.size"):
        checked_kwargs({"domain": "math"}, size=True)


def test_a_row_of_verl_becomes_a_query() -> None:
    extra = {"index": 7, "split": "train", "question": "2 + 3?"}
    assert asked_of("gsm8k", {"ground_truth": "5"}, extra, "a prompt", "math") == {
        "id": "gsm8k/train/7",
        "text": "2 + 3?",
        "domain": "math",
        "dataset": "gsm8k",
        "reference": "5",
    }
    bare: Any = asked_of(None, None, None, "2 + 3?", "qa")
    assert "reference" not in bare
    assert bare["text"] == "2 + 3?"
    assert bare["id"] == asked_of("other", {"ground_truth": ""}, {}, "2 + 3?", "qa")["id"]  # type: ignore[index]
    assert "no question" in str(asked_of("gsm8k", None, {}, "", "math"))


GOOD = [
    *("--algo.advantage.estimator", "dr_grpo"),
    *("--rollout.n_samples_per_prompt", "8"),
    *("--reward.remote_url", "http://127.0.0.1:8765/openrlhf?size=8&domain=math"),
]


def test_openrlhf_must_only_centre_and_groups_have_one_size() -> None:
    check_options(GOOD)
    check_options([f"{name}={value}" for name, value in zip(GOOD[::2], GOOD[1::2], strict=True)])
    for wrong in (
        GOOD[2:],
        ["--algo.advantage.estimator", "group_norm", *GOOD[2:]],
        [*GOOD, "--reward.normalize_enable"],
        [*GOOD[:2], "--rollout.n_samples_per_prompt", "4", *GOOD[4:]],
        [*GOOD[:2], *GOOD[4:]],
    ):
        with pytest.raises(ConfigurationError, match="--"):
            check_options(wrong)


def test_a_rollout_of_openrlhf_becomes_question_and_completion() -> None:
    prompt = "<|im_start|>system\nBe brief.<|im_end|>\n<|im_start|>user\n2 + 3?<|im_end|>\n<|im_start|>assistant\n"
    asked = openrlhf_asked(f"{prompt}It is 5.<|im_end|>\n<|endoftext|>", prompt, "5", "math")
    assert (asked["text"], asked["query"]["text"], asked["query"]["reference"]) == ("It is 5.", "2 + 3?", "5")
    label = json.dumps({"id": "q7", "text": "Two and three?", "domain": "qa"})
    named = openrlhf_asked("What?It is 5.</s>", "What?", label, "math")
    assert named["query"] == {"id": "q7", "text": "Two and three?", "domain": "qa", "dataset": ""}
    assert (named["text"], named["group"]) == ("It is 5.", "openrlhf/q7")
    unlabelled = openrlhf_asked("What?5", "What?", None, "math")
    assert "reference" not in unlabelled["query"]
    assert openrlhf_asked("elsewhere", "What?", '{"not json', "math")["text"] == "elsewhere"
    long = openrlhf_asked("What?5" + " </s>" * 20_000, "What?", None, "math")
    assert long["text"] == "5"
    with pytest.raises(DataError, match="domain"):
        openrlhf_asked("a", "a", None, "poetry")
    with pytest.raises(DataError, match="texts"):
        openrlhf_asked(3, "a", None, "math")
