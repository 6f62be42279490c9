from __future__ import annotations

import re
from collections import Counter
from dataclasses import replace
from importlib.util import find_spec

import pytest

from lab.families import FAMILIES, TEMPLATES, load, questions
from memreward.data.options import LETTERS
from memreward.domains import equivalent, parse_completion
from memreward.policy.prompts import load_template
from memreward.types import ConfigurationError, Query

pytestmark = [pytest.mark.slow, pytest.mark.skipif(find_spec("reasoning_gym") is None, reason="no reasoning-gym")]

MATH = sorted(name for name, family in FAMILIES.items() if family.domain == "math")
CHOICE = sorted(name for name, family in FAMILIES.items() if family.domain == "qa")


def options(text: str) -> list[tuple[str, str]]:
    return re.findall(r"^\(([A-H])\) (.+)$", text, flags=re.MULTILINE)


@pytest.mark.parametrize("name", sorted(FAMILIES))
def test_a_draw_is_repeatable_without_duplicates_and_a_prefix_of_a_larger_one(name: str) -> None:
    drawn = questions(name, 12, seed=4)
    assert drawn[:5] == questions(name, 5, seed=4)
    assert [query.text for query, _ in drawn[:5]] != [query.text for query, _ in questions(name, 5, seed=5)]
    assert len({query.text for query, _ in drawn}) == len({query.id for query, _ in drawn}) == 12
    assert all(query.id.startswith(f"rg-{name}-4-") for query, _ in drawn)
    assert {query.dataset for query, _ in drawn} == {f"reasoning-gym/{name}"}
    assert {query.domain for query, _ in drawn} == {FAMILIES[name].domain}


@pytest.mark.parametrize("name", MATH)
def test_a_numeric_reference_is_a_plain_number_and_graded_right_when_answered(name: str) -> None:
    for query, truth in questions(name, 4, seed=1):
        assert truth.reference is not None
        assert re.fullmatch(r"-?\d+(/\d+)?", truth.reference)
        answer = parse_completion(f"So it is.\n#### {truth.reference}", "math", query.text).answer
        assert answer is not None
        assert equivalent(answer, truth.reference, "math", query_text=query.text)
        wrong = parse_completion(f"So it is.\n#### {truth.reference}1", "math", query.text).answer
        assert wrong is not None
        assert not equivalent(wrong, truth.reference, "math", query_text=query.text)


@pytest.mark.parametrize("name", CHOICE)
def test_options_hold_the_answer_once_and_its_place_varies(name: str) -> None:
    places = Counter()
    for query, truth in questions(name, 40, seed=2):
        lettered = options(query.text)
        assert [letter for letter, _ in lettered] == list(LETTERS[: len(lettered)])
        assert len({option for _, option in lettered}) == len(lettered) >= 2
        assert truth.reference in dict(lettered)
        places[truth.reference] += 1
        answer = parse_completion(f"The answer is ({truth.reference}).", "qa", query.text).answer
        assert answer is not None
        assert equivalent(answer, truth.reference, "qa", query_text=query.text)
    assert len(places) == len(lettered)
    assert max(places.values()) < 40 * 2 / len(lettered)


def test_the_right_option_is_the_generators_answer() -> None:
    import reasoning_gym

    settings = FAMILIES["family_relationships"].settings
    items = reasoning_gym.create_dataset("family_relationships", seed=3, size=50, **settings)
    for query, truth in questions("family_relationships", 10, seed=3):
        item = items[int(query.id.rpartition("-")[2])]
        assert dict(options(query.text))[truth.reference] == item["answer"]
        assert query.text.startswith(item["question"].partition("?")[0])


def test_gsm_symbolic_texts_are_whole_and_share_few_wordings() -> None:
    import reasoning_gym

    drawn = questions("gsm_symbolic", 90, seed=0)
    items = reasoning_gym.create_dataset("gsm_symbolic", seed=0, size=20)
    assert all(query.text.endswith("Give the result as your final answer. Do not include units.") for query, _ in drawn)
    assert len(items[0]["question"]) > 100
    skeletons = Counter(int(query.id.rpartition("-")[2]) % 30 for query, _ in drawn)
    assert set(skeletons) == set(range(16))
    assert min(skeletons.values()) >= 3


def test_two_step_questions_are_those_wordings_of_gsm_symbolic() -> None:
    texts = {query.id.removeprefix("rg-gsm_symbolic-0-"): query.text for query, _ in questions("gsm_symbolic", 90)}
    drawn = {query.id.removeprefix("rg-two_step-0-"): query.text for query, _ in questions("two_step", 18)}
    assert {int(index) % 30 for index in drawn} == {1, 2, 3, 8, 14, 15}
    assert drawn.items() <= texts.items()


def test_unknown_family_and_too_many_questions_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ConfigurationError, match=r"'riddles' is unknown; use one of .*gsm_symbolic"):
        questions("riddles", 3)
    digits = replace(FAMILIES["products"], settings={"min_digits": 1, "max_digits": 1})
    monkeypatch.setitem(FAMILIES, "digits", digits)
    with pytest.raises(ConfigurationError, match=r"gives \d+ different questions with seed 0, not 101: ask for fewer"):
        questions("digits", 101)


@pytest.mark.parametrize("family", sorted(FAMILIES))
def test_shots_show_the_form_that_the_parser_finds(family: str) -> None:
    domain = FAMILIES[family].domain
    template = load_template(Query("q", "", domain, f"reasoning-gym/{family}"), str(TEMPLATES))
    assert template.name == family
    assert len(template.shots) == 2
    expected = "hash" if domain == "math" else "letter"
    for asked, answered in template.shots:
        completion = parse_completion(answered, domain, asked)
        assert completion.answer
        assert completion.form in {expected, "phrase"}


def test_families_of_one_line_are_drawn_one_after_the_other() -> None:
    found = load("gcd:3,syllogism:2", seed=7)
    assert [group.query.dataset for group in found] == ["reasoning-gym/gcd"] * 3 + ["reasoning-gym/syllogism"] * 2
    assert found[0].query.id.startswith("rg-gcd-7-")
    assert found[0].provenance == {"source": "reasoning-gym", "license": "Apache-2.0"}
