"""The reader against a plain forward pass per rollout, with a tiny random model and tokenizer."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from memreward.features.cache import DictVectorStore, DiskVectorStore
from memreward.policy.reader import Reader, ReaderConfig
from memreward.policy.readings import READER_NAMES
from memreward.types import ConfigurationError, FloatArray, Query, Rollout

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")

LAYERS, WIDTH = 6, 32
PRIMES = Query("q1", "Which primes lie between 10 and 20?", "math")
SUM = Query("q2", "What is 17 + 25?", "math")


def make_model(folder: Path, kind: str, seed: int = 0, chat_template: str | None = None) -> Path:
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers

    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocabulary = {"<s>": 0, "</s>": 1} | {letter: i for i, letter in enumerate(alphabet, start=2)}
    tokenizer = Tokenizer(models.BPE(vocab=vocabulary, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    fast = transformers.PreTrainedTokenizerFast(tokenizer_object=tokenizer, bos_token="<s>", eos_token="</s>")
    fast.chat_template = chat_template
    fast.save_pretrained(folder)
    torch.manual_seed(seed)
    shared = {
        "vocab_size": len(vocabulary),
        "hidden_size": WIDTH,
        "intermediate_size": 48,
        "num_hidden_layers": LAYERS,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "max_position_embeddings": 512,
        "initializer_range": 0.4,  # large, so that log-probabilities differ
        "bos_token_id": 0,
        "eos_token_id": 1,
    }
    config = {"qwen2": transformers.Qwen2Config, "llama": transformers.LlamaConfig}[kind](**shared)
    transformers.AutoModelForCausalLM.from_config(config).save_pretrained(folder)
    return folder


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    """A model this small is slower on several threads."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_model(tmp_path_factory.mktemp("qwen2"), "qwen2")


def rollout(query: Query, text: str, answer: str | None, number: int = 0) -> Rollout:
    return Rollout(query, text, thinking=text, answer=answer, id=f"{query.id}-{number}")


@pytest.fixture
def rollouts() -> list[Rollout]:
    return [
        rollout(PRIMES, "They are 11, 13, 17, 19, so the count is 4.", "4", 0),
        rollout(SUM, "17 + 25 = 42", "42", 0),
        rollout(PRIMES, "4", "4", 1),
        rollout(SUM, "I do not know", None, 1),
        rollout(PRIMES, "11 and 13 are; 15 is not; 17 is; 19 is. " * 3 + "Answer: 4", "4", 2),
        rollout(SUM, "17 + 20 = 37, 37 + 5 = 42. Let me check: 42 - 25 = 17. So 42 it is", "42", 2),
        rollout(SUM, "", None, 3),
    ]


def plain_reading(folder: Path, item: Rollout, prompt: str) -> FloatArray:
    """One full forward pass without a cache; the byte tokenizer makes characters and tokens the same."""
    model = transformers.AutoModelForCausalLM.from_pretrained(folder).eval()
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    before, after = (tokenizer(text, add_special_tokens=False)["input_ids"] for text in (prompt, item.text))
    with torch.inference_mode():
        out = model(torch.tensor([before + after]), use_cache=False)
    logprobs = out.logits[0].log_softmax(-1)[torch.arange(len(before) - 1, len(before + after) - 1), after].numpy()
    place = item.text.rfind(item.answer) if item.answer else len(item.text)
    thinking, answer = logprobs[:place], logprobs[place : place + len(item.answer or "")]
    values = [logprobs.mean(), logprobs.min(), np.mean(logprobs < -3)]
    for part in (thinking, answer):
        values += [part.mean(), part.min()] if len(part) else [np.nan, np.nan]
    return np.array(values, np.float32)


@pytest.mark.parametrize("kind", ["qwen2", "llama"])
def test_equals_a_plain_forward_pass(tmp_path: Path, rollouts: list[Rollout], kind: str) -> None:
    folder = make_model(tmp_path, kind)
    config = ReaderConfig(str(folder), batch_size=3, tokens_per_forward=20)
    reading = Reader(config, DictVectorStore()).read(rollouts)
    assert reading.names == READER_NAMES
    assert reading.values.dtype == np.float32
    for i, item in enumerate(rollouts[:-1]):
        values = plain_reading(folder, item, item.query.text + "\n")
        np.testing.assert_allclose(reading.values[i], values, atol=1e-4, rtol=1e-4)
    assert len(np.unique(reading.values[:-1, 0])) == len(rollouts) - 1
    assert 0 < np.nanmean(reading.values[:, 2]) < 1


def test_an_empty_rollout_has_no_values(folder: Path, rollouts: list[Rollout]) -> None:
    reading = Reader(ReaderConfig(str(folder)), DictVectorStore()).read(rollouts)
    assert np.isnan(reading.values[-1]).all()
    assert reading.coverage[-1] == 1


def test_answer_tokens_are_those_of_its_last_place(folder: Path) -> None:
    text = "Is it 42? Yes, 42"
    items = [rollout(SUM, text, answer, i) for i, answer in enumerate(["42", "Yes", "43", None, text])]
    values = Reader(ReaderConfig(str(folder)), DictVectorStore()).read(items).values
    thinking, answer = (
        READER_NAMES.index("reader_thinking_logprob_mean"),
        READER_NAMES.index("reader_answer_logprob_mean"),
    )
    assert np.isnan(values[2:4, answer]).all()  # "43" is nowhere in the text
    assert values[2, thinking] == values[2, 0]  # so everything is thinking
    assert np.isnan(values[4, thinking])
    assert values[4, answer] == values[4, 0]
    n = len(text)
    np.testing.assert_allclose(values[0, 0] * n, values[0, thinking] * (n - 2) + values[0, answer] * 2, rtol=1e-4)


def test_order_batch_and_segment_change_nothing(folder: Path, rollouts: list[Rollout]) -> None:
    wanted = Reader(ReaderConfig(str(folder)), DictVectorStore()).read(rollouts)
    order = np.random.default_rng(0).permutation(len(rollouts))
    for batch_size, tokens in ((1, 512), (2, 7), (8, 16)):
        config = ReaderConfig(str(folder), batch_size=batch_size, tokens_per_forward=tokens)
        reading = Reader(config, DictVectorStore()).read([rollouts[i] for i in order])
        np.testing.assert_allclose(reading.values, wanted.values[order], atol=1e-4)


def test_the_query_is_read_before_the_rollout(folder: Path) -> None:
    items = [rollout(query, "The answer is 42", "42") for query in (SUM, PRIMES)]
    reading = Reader(ReaderConfig(str(folder)), DictVectorStore()).read(items)
    assert abs(reading.values[0, 0] - reading.values[1, 0]) > 1e-4


def test_templates(tmp_path: Path) -> None:
    chat = (
        "{% for m in messages %}<{{ m.role }}>{{ m.content }}{% endfor %}{% if add_generation_prompt %}<me>{% endif %}"
    )
    folder = make_model(tmp_path, "qwen2", chat_template=chat)
    item = rollout(SUM, "17 + 25 = 42", "42")
    prompts = {None: f"<user>{SUM.text}<me>", "Q: {query} A:": f"Q: {SUM.text} A:"}
    for template, prompt in prompts.items():
        reader = Reader(ReaderConfig(str(folder), template=template), DictVectorStore())
        values = plain_reading(folder, item, prompt)
        np.testing.assert_allclose(reader.read([item]).values[0], values, atol=1e-4)


def test_a_long_rollout_is_read_from_its_start_and_says_so(folder: Path) -> None:
    item = rollout(SUM, "17 + 25 = 42", "42")
    longer = replace(item, text="17 + 25 = 42" + "." * 86 + "42", id="longer")
    reading = Reader(ReaderConfig(str(folder), max_tokens=12), DictVectorStore()).read([item, longer])
    np.testing.assert_array_equal(reading.coverage, np.float32([1, 0.12]))
    np.testing.assert_allclose(reading.values[0, :3], reading.values[1, :3], atol=1e-4)
    assert np.isnan(reading.values[1, 5:]).all()  # its answer was not reached


def test_texts_of_any_length_and_content(folder: Path) -> None:
    long = Query("long", "why? " * 20_000, "other")
    items = [
        rollout(long, "because " * 12_500, "because"),
        rollout(SUM, "a lone \ud800 surrogate, then \ud800", "\ud800"),
        rollout(SUM, "naïve 答案 🙂", "🙂", 1),
    ]
    reading = Reader(ReaderConfig(str(folder), max_tokens=300), DictVectorStore()).read(items)
    assert np.isfinite(reading.values[:, :5]).all()
    assert np.isfinite(reading.values[1:, 5:]).all()
    assert reading.coverage[0] == np.float32(256 / 100_000)  # half of the 512 positions went to the prompt
    assert Reader(ReaderConfig(str(folder)), DictVectorStore()).read([]).values.shape == (0, len(READER_NAMES))


class ForwardCounter:
    """Counts forward passes of a reader, and may raise at one of them."""

    def __init__(self, reader: Reader, monkeypatch: pytest.MonkeyPatch, fail_at: int | None = None) -> None:
        self.rows_read: list[int] = []
        forward = reader._forward_rows

        def counting(rows: list[list[int]], prefix: object) -> FloatArray:
            if fail_at is not None and len(self.rows_read) == fail_at:
                raise KeyboardInterrupt
            self.rows_read.append(len(rows))
            return forward(rows, prefix)

        monkeypatch.setattr(reader, "_forward_rows", counting)


def test_each_content_is_read_once(folder: Path, rollouts: list[Rollout], monkeypatch: pytest.MonkeyPatch) -> None:
    store = DictVectorStore()
    reader = Reader(ReaderConfig(str(folder)), store)
    counter = ForwardCounter(reader, monkeypatch)
    twice = [*rollouts, *(replace(item, id=item.id + "-again") for item in rollouts)]
    steps: list[int] = []
    first = reader.read(twice, progress=steps.append)
    assert sum(counter.rows_read) == len(rollouts) - 1
    assert sum(steps) == len(twice)
    assert len(steps) > 1
    np.testing.assert_array_equal(first.values[: len(rollouts)], first.values[len(rollouts) :])
    second = Reader(ReaderConfig(str(folder)), store)
    monkeypatch.setattr(Reader, "_model", property(lambda self: pytest.fail("the model was loaded")))
    again = second.read(rollouts[::-1])
    other_answer = second.read([replace(rollouts[1], answer="17")])
    assert other_answer.values[0, -1] != first.values[1, -1]
    np.testing.assert_array_equal(again.values, first.values[: len(rollouts)][::-1])


def test_an_interrupted_run_resumes(
    folder: Path, tmp_path: Path, rollouts: list[Rollout], monkeypatch: pytest.MonkeyPatch
) -> None:
    config = ReaderConfig(str(folder), batch_size=2)

    def fresh() -> Reader:
        return Reader(config, DiskVectorStore("reader", tmp_path))

    wanted = Reader(config, DictVectorStore()).read(rollouts)
    interrupted = fresh()
    before = ForwardCounter(interrupted, monkeypatch, fail_at=2)
    with pytest.raises(KeyboardInterrupt):
        interrupted.read(rollouts)
    resumed = fresh()
    after = ForwardCounter(resumed, monkeypatch)
    reading = resumed.read(rollouts)
    assert sum(before.rows_read) == 3
    assert sum(before.rows_read) + sum(after.rows_read) == len(rollouts) - 1
    np.testing.assert_allclose(reading.values, wanted.values, atol=1e-4)


def test_the_name_changes_with_the_weights_and_the_settings(tmp_path: Path) -> None:
    folder = make_model(tmp_path / "a", "qwen2", seed=0)
    same = make_model(tmp_path / "copy" / "a", "qwen2", seed=0)
    other = make_model(tmp_path / "trained" / "a", "qwen2", seed=1)
    config = ReaderConfig(str(folder))
    changed: Sequence[ReaderConfig] = [
        replace(config, model=str(other)),
        replace(config, template="{query} "),
        replace(config, max_tokens=9),
        replace(config, dtype="bfloat16"),
    ]
    names = [Reader(c, DictVectorStore()).name for c in (config, *changed)]
    assert len(set(names)) == len(names)
    assert Reader(replace(config, model=str(same), batch_size=1), DictVectorStore()).name == names[0]


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ({"max_tokens": 0}, "max_tokens is 0"),
        ({"template": "no place"}, "has no {query}"),
        ({"dtype": "int8"}, "dtype is 'int8'"),
        ({"model": "no/such-model"}, "cannot load 'no/such-model'"),
    ],
)
def test_unusable_settings_are_named(folder: Path, setting: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        Reader(ReaderConfig(**{"model": str(folder)} | setting), DictVectorStore())
