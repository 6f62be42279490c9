from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from tiny_model import tiny_model, tiny_tokenizer

from memreward.policy.local import LocalSampler, Prompt
from memreward.policy.sampler import Chat, SampledGroup
from memreward.policy.settings import SamplingConfig
from memreward.types import ConfigurationError

pytestmark = pytest.mark.slow  # torch takes seconds to load

TEXTS = {"a": "What is 2+2?", "b": "Count: one two three four five six.", "c": "x", "d": "What is 17+4?"}
CONFIG = SamplingConfig(model="tiny", rollouts=3, temperature=1.0, top_p=0.9, max_new_tokens=12)


@pytest.fixture(scope="module")
def model() -> torch.nn.Module:
    return tiny_model()


def make_sampler(model: torch.nn.Module, **changes: object) -> LocalSampler:
    return LocalSampler(replace(CONFIG, **changes), model=model, tokenizer=tiny_tokenizer())


def make_prompts() -> list[Prompt]:
    tokenizer = tiny_tokenizer()
    return [Prompt(name, tuple(tokenizer(text)["input_ids"])) for name, text in TEXTS.items()]


def by_id(sampler: LocalSampler, prompts: list[Prompt]) -> dict[str, SampledGroup]:
    return {group.id: group for group in sampler.sample(prompts)}


@torch.inference_mode()
def plain_logits(model: torch.nn.Module, tokens: tuple[int, ...]) -> torch.Tensor:
    return model(input_ids=torch.tensor([tokens])).logits[0]


def test_greedy_decoding_takes_the_most_probable_token(model: torch.nn.Module) -> None:
    groups = by_id(make_sampler(model, temperature=0.0), make_prompts())
    for prompt in make_prompts():
        expected: list[int] = []
        while len(expected) < CONFIG.max_new_tokens and (not expected or expected[-1] != 0):
            expected.append(int(plain_logits(model, prompt.tokens + tuple(expected))[-1].argmax()))
        assert [list(sample.tokens) for sample in groups[prompt.id].samples] == [expected] * 3


def test_draws_follow_the_tempered_nucleus_whatever_the_checkpoint_sets(model: torch.nn.Module) -> None:
    other = tiny_model()
    other.generation_config.update(do_sample=True, top_k=1, repetition_penalty=9.0, min_p=0.9, temperature=0.1)
    (prompt, *_) = make_prompts()
    settings = {"rollouts": 3000, "max_new_tokens": 1, "temperature": 0.5, "top_p": 0.8}
    (group,) = make_sampler(other, **settings).sample([prompt])
    drawn = Counter(sample.tokens[0] for sample in group.samples)
    shares, tokens = (plain_logits(model, prompt.tokens)[-1] / 0.5).softmax(dim=-1).sort(descending=True)
    nucleus = int((shares.cumsum(dim=0) < 0.8).sum()) + 1
    assert nucleus > 1
    for share, token in zip(shares[:nucleus] / shares[:nucleus].sum(), tokens[:nucleus], strict=True):
        assert drawn.pop(int(token), 0) / 3000 == pytest.approx(float(share), abs=0.04)
    assert not drawn


def test_logprobs_are_those_of_a_full_forward_pass_without_temperature_or_nucleus(model: torch.nn.Module) -> None:
    groups = by_id(make_sampler(model, temperature=0.5, top_p=0.7), make_prompts())
    for prompt in make_prompts():
        for sample in groups[prompt.id].samples:
            logprobs = plain_logits(model, prompt.tokens + sample.tokens).log_softmax(dim=-1)
            positions = range(len(prompt.tokens) - 1, len(prompt.tokens) - 1 + len(sample.tokens))
            expected = [float(logprobs[at, token]) for at, token in zip(positions, sample.tokens, strict=True)]
            assert sample.token_logprobs == pytest.approx(expected, abs=1e-4)


def test_seed_and_id_alone_decide_the_samples(model: torch.nn.Module) -> None:
    whole = by_id(make_sampler(model), make_prompts())
    assert all(len({sample.tokens for sample in group.samples}) > 1 for group in whole.values())
    state = torch.random.get_rng_state()
    assert by_id(make_sampler(model), make_prompts()[:1:-1]) == {name: whole[name] for name in "dc"}
    assert torch.equal(torch.random.get_rng_state(), state), "sampling must not move anybody else's random numbers"
    (prompt, *_) = make_prompts()
    for sampler, asked in ((make_sampler(model, seed=2), prompt), (make_sampler(model), replace(prompt, id="other"))):
        assert next(sampler.sample([asked])).samples != whole["a"].samples


def test_stop_token_ends_a_rollout_and_the_length_limit_truncates_it(model: torch.nn.Module) -> None:
    sampler = make_sampler(model, rollouts=40, temperature=2.0, top_p=1.0, max_new_tokens=60)
    samples = [sample for group in sampler.sample(make_prompts()) for sample in group.samples]
    stopped = [sample for sample in samples if not sample.truncated]
    assert 0 < len(stopped) < len(samples)
    assert all(sample.tokens[-1] == 0 and 0 not in sample.tokens[:-1] for sample in stopped)
    assert all("<|end|>" not in sample.text for sample in stopped)
    assert all(len(s.tokens) == 60 and 0 not in s.tokens for s in samples if s.truncated)
    assert all(len(s.tokens) == len(s.token_logprobs or ()) for s in samples)


def test_every_stop_token_of_the_generation_config_counts() -> None:
    other = tiny_model()
    other.generation_config.eos_token_id = [5, 6]
    sampler = make_sampler(other, rollouts=60, temperature=2.0, top_p=1.0, max_new_tokens=30)
    assert sampler.stop_tokens == [0, 5, 6]
    ends = {sample.tokens[-1] for group in sampler.sample(make_prompts()) for sample in group.samples}
    assert {0, 5, 6} < ends


@pytest.mark.parametrize("change", [{"rollouts": 0}, {"temperature": -1.0}, {"top_p": 0.0}])
def test_settings_out_of_range_are_refused(change: dict[str, object]) -> None:
    with pytest.raises(ConfigurationError, match=next(iter(change))):
        replace(CONFIG, **change)


def test_chats_become_prompts_up_to_the_answer(model: torch.nn.Module) -> None:
    prompts = make_sampler(model).prompts([Chat(text, "", [{"role": "user", "content": text}]) for text in "xy"])
    assert list(prompts[0].tokens) == list(tiny_tokenizer()("<|user|>x<|end|><|assistant|>")["input_ids"])
    assert len({prompt.digest for prompt in prompts}) == 2


def test_empty_prompt_and_missing_model_are_refused(model: torch.nn.Module, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="'nothing' is empty"):
        list(make_sampler(model).sample([Prompt("nothing", ())]))
    with pytest.raises(ConfigurationError, match="cannot be loaded"):
        LocalSampler(replace(CONFIG, model=str(tmp_path)))
