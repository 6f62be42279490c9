from __future__ import annotations

import json
from pathlib import Path

import pytest

from memreward.domains import parse_completion
from memreward.policy.prompts import load_template, render
from memreward.types import DOMAINS, ConfigurationError, Domain, Query
from rows import each_row

QUESTION = "How many?\n(A) two  words \n(B) {braces} and ümlauts\n"


def query(domain: str = "qa", dataset: str = "reasoning-gym/syllogism") -> Query:
    return Query("q", QUESTION, domain, dataset)  # type: ignore[arg-type]


@pytest.mark.slow
def test_a_chat_shows_the_shots_then_the_question_unchanged() -> None:
    from tiny_model import tiny_tokenizer  # torch takes seconds to load

    template = load_template(query())
    chat = template.messages(QUESTION)
    assert [message["role"] for message in chat] == ["system", "user", "assistant", "user", "assistant", "user"]
    assert chat[-1]["content"] == QUESTION
    tokenizer = tiny_tokenizer()
    text = tokenizer.decode(render(tokenizer, template.messages("How many?")))
    assert text.startswith("<|system|>" + template.system + "<|end|><|user|>" + template.shots[0][0] + "<|end|>")
    assert text.endswith("<|end|><|user|>How many?<|end|><|assistant|>")


def test_the_family_comes_before_the_domain_and_ones_own_folder_before_ours(tmp_path: Path) -> None:
    assert load_template(query()).name == "qa"
    assert load_template(query(dataset="arc")).name == "qa"
    (tmp_path / "syllogism.json").write_text(json.dumps({"system": "", "shots": []}), encoding="utf-8")
    own = load_template(query(), str(tmp_path))
    assert own.name == "syllogism"
    assert own.messages("x") == [{"role": "user", "content": "x"}]
    assert load_template(query(dataset="arc"), str(tmp_path)).name == "qa"


@each_row("domain", DOMAINS)
def test_every_domain_has_a_template(domain: str) -> None:
    assert load_template(query(domain, "elsewhere")).name == domain


@each_row(
    ("domain", "answers"),
    [
        ("math", ["39", "16", "5\\sqrt{2}"]),
        ("qa", ["B", "A"]),
        (
            "code",
            [
                "def double(x):\n    return 2 * x",
                "def longest_word(sentence):\n    return max(sentence.split(), key=len)",
            ],
        ),
        ("other", ["Mercury"]),
    ],
)
def test_shots_of_a_domain_show_answers_that_the_parser_finds(domain: Domain, answers: list[str]) -> None:
    template = load_template(query(domain, "elsewhere"))
    found = [parse_completion(answered, domain, asked).answer for asked, answered in template.shots]
    assert found == answers


@each_row("content", ["not JSON", "{}", '{"system": "", "shots": [1]}', "[]"])
def test_a_broken_template_is_named(tmp_path: Path, content: str) -> None:
    (tmp_path / "syllogism.json").write_text(content, encoding="utf-8")
    with pytest.raises(ConfigurationError, match=r"syllogism\.json is broken"):
        load_template(query(), str(tmp_path))


@pytest.mark.slow
def test_a_tokenizer_without_chat_template_needs_one() -> None:
    from tiny_model import tiny_tokenizer  # torch takes seconds to load

    tokenizer = tiny_tokenizer(chat=False)
    with pytest.raises(ConfigurationError, match="chat_template"):
        render(tokenizer, [{"role": "user", "content": "x"}])
    tokenizer.chat_template = "{{ messages[0]['content'] }}>"
    assert tokenizer.decode(render(tokenizer, [{"role": "user", "content": "x"}])) == "x>"
