from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
from tiny_model import tiny_model, tiny_tokenizer

from lab.decoding.decoder import GroupDecoder, Prompt, draw_tokens
from memreward.policy.sampler import Chat, SampledGroup
from memreward.policy.settings import SamplingConfig
from memreward.types import ConfigurationError

pytestmark = pytest.mark.slow  # torch takes seconds to load

TEXTS = {"a": "What is 2+2?", "b": "Count: one two three four five six.", "c": "x", "d": "What is 17+4?"}
CONFIG = SamplingConfig(model="tiny", rollouts=3, temperature=1.0, top_p=0.9, max_new_tokens=12)


@pytest.fixture(scope="module")
def model() -> torch.nn.Module:
    return tiny_model()


def make_sampler(model: torch.nn.Module, groups_per_batch: int = 2, **changes: object) -> GroupDecoder:
    return GroupDecoder(
        replace(CONFIG, **changes), groups_per_batch=groups_per_batch, model=model, tokenizer=tiny_tokenizer()
    )


def make_prompts(shared: int = 0) -> list[Prompt]:
    tokenizer = tiny_tokenizer()
    return [Prompt(name, tuple(tokenizer(text)["input_ids"]), shared) for name, text in TEXTS.items()]


def by_id(groups: list[SampledGroup]) -> dict[str, SampledGroup]:
    assert len({group.id for group in groups}) == len(groups)
    return {group.id: group for group in groups}


def tokens_of(groups: dict[str, SampledGroup]) -> dict[str, list[tuple[int, ...]]]:
    return {name: [sample.tokens for sample in group.samples] for name, group in groups.items()}


@torch.inference_mode()
def plain_logits(model: torch.nn.Module, tokens: tuple[int, ...]) -> torch.Tensor:
    return model(input_ids=torch.tensor([tokens])).logits[0]


def test_repeated_cache_equals_plain_greedy_decoding(model: torch.nn.Module) -> None:
    groups = by_id(list(make_sampler(model, temperature=0.0).sample(make_prompts())))
    for prompt in make_prompts():
        tokens = prompt.tokens
        expected: list[int] = []
        while len(expected) < CONFIG.max_new_tokens and (not expected or expected[-1] != 0):
            expected.append(int(plain_logits(model, tokens + tuple(expected))[-1].argmax()))
        assert [list(sample.tokens) for sample in groups[prompt.id].samples] == [expected] * 3


def test_temperature_sampling_equals_plain_decoding_with_the_same_random_numbers(model: torch.nn.Module) -> None:
    sampler = make_sampler(model, temperature=0.7, top_p=0.8)
    groups = by_id(list(sampler.sample(make_prompts())))
    for prompt in make_prompts():
        for sample, row in zip(groups[prompt.id].samples, sampler._open(prompt).rows, strict=True):
            for step, token in enumerate(sample.tokens):
                logits = plain_logits(model, prompt.tokens + sample.tokens[:step])[-1:]
                uniform = torch.tensor([row.uniforms[step]])
                assert draw_tokens(logits, uniform, temperature=0.7, top_p=0.8)[0].item() == token


def test_rollouts_of_a_group_differ(model: torch.nn.Module) -> None:
    groups = by_id(list(make_sampler(model).sample(make_prompts())))
    assert all(len({sample.tokens for sample in group.samples}) > 1 for group in groups.values())


def test_logprobs_are_those_of_a_full_forward_pass_without_temperature_or_nucleus(model: torch.nn.Module) -> None:
    groups = by_id(list(make_sampler(model, temperature=0.5, top_p=0.7).sample(make_prompts())))
    for prompt in make_prompts():
        for sample in groups[prompt.id].samples:
            logprobs = plain_logits(model, prompt.tokens + sample.tokens).log_softmax(dim=-1)
            positions = range(len(prompt.tokens) - 1, len(prompt.tokens) - 1 + len(sample.tokens))
            expected = [float(logprobs[at, token]) for at, token in zip(positions, sample.tokens, strict=True)]
            assert sample.token_logprobs == pytest.approx(expected, abs=1e-4)


@pytest.mark.parametrize("groups_per_batch", [1, 2, 4])
@pytest.mark.parametrize("shared", [0, 1])
def test_batching_order_and_shared_preamble_change_nothing(
    model: torch.nn.Module, groups_per_batch: int, shared: int
) -> None:
    reference = tokens_of(by_id(list(make_sampler(model, 3).sample(make_prompts()))))
    preamble = tuple(tiny_tokenizer()("Think. ")["input_ids"])
    if shared:
        prompts = [Prompt(p.id, preamble + p.tokens, len(preamble)) for p in make_prompts()]
        alone = [replace(prompt, shared=0) for prompt in prompts]
        reference = tokens_of(by_id(list(make_sampler(model, 1).sample(alone))))
    else:
        prompts = make_prompts()
    sampler = make_sampler(model, groups_per_batch)
    assert tokens_of(by_id(list(sampler.sample(reversed(prompts))))) == reference


def test_a_prompt_that_is_its_own_preamble_still_samples(model: torch.nn.Module) -> None:
    (prompt, *_) = make_prompts()
    whole = replace(prompt, shared=len(prompt.tokens))
    sampler = make_sampler(model)
    assert list(sampler.sample([whole])) == list(sampler.sample([whole]))
    assert tokens_of(by_id(list(sampler.sample([whole])))) == tokens_of(by_id(list(sampler.sample([prompt]))))


def test_seed_and_id_decide_the_samples(model: torch.nn.Module) -> None:
    (prompt, *_) = make_prompts()
    first = next(make_sampler(model, seed=1).sample([prompt]))
    assert next(make_sampler(model, seed=1).sample([prompt])) == first
    assert next(make_sampler(model, seed=2).sample([prompt])).samples != first.samples
    assert next(make_sampler(model, seed=1).sample([replace(prompt, id="other")])).samples != first.samples


def test_stop_token_ends_a_rollout_and_the_length_limit_truncates_it(model: torch.nn.Module) -> None:
    sampler = make_sampler(model, rollouts=40, temperature=2.0, top_p=1.0, max_new_tokens=60)
    groups = by_id(list(sampler.sample(make_prompts())))
    samples = [sample for group in groups.values() for sample in group.samples]
    stopped = [sample for sample in samples if not sample.truncated]
    assert 0 < len(stopped) < len(samples)
    assert all(sample.tokens[-1] == 0 and 0 not in sample.tokens[:-1] for sample in stopped)
    assert all("<|end|>" not in sample.text for sample in stopped)
    assert all(len(s.tokens) == 60 and 0 not in s.tokens for s in samples if s.truncated)


def test_every_stop_token_of_the_generation_config_counts(model: torch.nn.Module) -> None:
    sampler = make_sampler(model)
    assert sampler.stop_tokens == {0}
    other = tiny_model()
    other.generation_config.eos_token_id = [5, 6]
    assert GroupDecoder(CONFIG, model=other, tokenizer=tiny_tokenizer()).stop_tokens == {0, 5, 6}


def test_finished_rows_leave_the_batch(model: torch.nn.Module) -> None:
    widths = []
    handle = model.register_forward_pre_hook(
        lambda _, __, kwargs: widths.append(kwargs["input_ids"].shape[0]), with_kwargs=True
    )
    sampler = make_sampler(model, 1, rollouts=30, temperature=2.0, top_p=1.0, max_new_tokens=200)
    list(sampler.sample(make_prompts()[:1]))
    handle.remove()
    assert widths[:2] == [1, 30]
    assert widths[-1] < 15


def test_draws_follow_the_tempered_nucleus() -> None:
    logits = torch.tensor([[2.0, 0.0, 1.0, -1.0]])
    uniforms = (torch.arange(4000, dtype=torch.float64) + 0.5) / 4000
    drawn, logprobs = draw_tokens(logits.expand(4000, -1), uniforms, temperature=0.5, top_p=0.9)
    weights = [math.exp(value / 0.5) for value in (2.0, 1.0)]
    shares = torch.bincount(drawn, minlength=4) / 4000
    expected = torch.tensor([weights[0], 0.0, weights[1], 0.0]) / sum(weights)
    assert torch.allclose(shares, expected, atol=1e-3)
    plain = logits[0].log_softmax(dim=-1)
    assert torch.allclose(logprobs, plain[drawn])


@pytest.mark.parametrize("top_p", [1.0, 0.97])
def test_a_nucleus_wider_than_the_candidates_is_drawn_whole(top_p: float) -> None:
    logits = torch.zeros(1, 2000)
    logits[0, 7] = 0.5
    uniforms = (torch.arange(2000, dtype=torch.float64) + 0.5) / 2000
    drawn, _ = draw_tokens(logits.expand(2000, -1), uniforms, temperature=1.0, top_p=top_p)
    assert len(set(drawn.tolist())) >= 2000 * top_p - 5


def test_a_model_without_a_key_value_cache_is_refused(model: torch.nn.Module) -> None:
    from transformers import MambaConfig, MambaForCausalLM

    state_space = MambaForCausalLM(MambaConfig(vocab_size=104, hidden_size=16, num_hidden_layers=1, state_size=4))
    with pytest.raises(ConfigurationError, match="no key-value cache"):
        list(GroupDecoder(CONFIG, model=state_space, tokenizer=tiny_tokenizer()).sample(make_prompts()))


def test_what_all_chats_of_a_template_begin_with_is_shared(model: torch.nn.Module) -> None:
    shots = [{"role": "user", "content": "2?"}, {"role": "assistant", "content": "2!"}]
    names = {"x": "same", "y": "same", "z": "same", "w": "other"}
    chats = [Chat(text, name, [*shots, {"role": "user", "content": text}]) for text, name in names.items()]
    prompts = make_sampler(model).prompts(chats)
    tokens = list(tiny_tokenizer()("<|user|>2?<|end|><|assistant|>2!<|end|><|user|>")["input_ids"])
    assert [prompt.shared for prompt in prompts[:3]] == [len(tokens)] * 3
    assert all(list(prompt.tokens[: len(tokens)]) == tokens for prompt in prompts)
    assert prompts[3].shared == len(prompts[3].tokens)
    assert len({prompt.digest for prompt in prompts}) == 4


def test_empty_prompt_and_missing_model_are_refused(model: torch.nn.Module, tmp_path: object) -> None:
    with pytest.raises(ConfigurationError, match="'nothing' is empty"):
        list(make_sampler(model).sample([Prompt("nothing", ())]))
    with pytest.raises(ConfigurationError, match="cannot be loaded"):
        GroupDecoder(replace(CONFIG, model=str(tmp_path)))
