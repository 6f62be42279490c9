"""Questions of the testbed: right answers verify, parts are disjoint, demonstrations err as meant."""

from __future__ import annotations

import random
from collections import Counter
from itertools import islice

import pytest

from lab.testbed.policy import build_tokenizer, prompt_of
from lab.testbed.questions import KINDS, Kind, asked, demonstrations, draw_split
from memreward.domains import Verifiers, parse_rollout
from memreward.types import Claim, ConfigurationError, Query

pytestmark = pytest.mark.slow  # torch takes seconds to load

DRAWS = 6


@pytest.fixture(scope="module")
def verifiers() -> Verifiers:
    return Verifiers()


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_the_right_rule_is_right_and_the_wrong_one_wrong_where_they_differ(kind: Kind, verifiers: Verifiers) -> None:
    rng = random.Random(kind.name)
    exercises = [kind.make(rng) for _ in range(DRAWS)]
    differing = [exercise for exercise in exercises if exercise.right != exercise.wrong]
    assert differing
    for texts, expected, drawn in (
        ([exercise.right for exercise in exercises], True, exercises),
        ([exercise.wrong for exercise in differing], False, differing),
    ):
        claims = [
            Claim(parse_rollout(Query("q", e.text, kind.domain), text, id=f"{i}"), e.reference)
            for i, (e, text) in enumerate(zip(drawn, texts, strict=True))
        ]
        assert [verdict.correct for verdict in verifiers.verify(claims)] == [expected] * len(claims)


def test_parts_are_disjoint_spread_over_kinds_and_repeatable() -> None:
    split = draw_split(3, train=24, test=48, foreign=9)
    assert [len(part) for part in (split.train, split.test, split.foreign)] == [24, 48, 9]
    assert len(split.texts) == 24 + 48 + 9
    native, foreign = ({kind.name for kind in KINDS if kind.foreign is f} for f in (False, True))
    counts = Counter(group.provenance["kind"] for group in split.train)
    assert set(counts) == native
    assert set(counts.values()) == {2}
    assert {group.provenance["kind"] for group in split.foreign} == foreign
    assert draw_split(3, train=24, test=48, foreign=9) == split
    assert draw_split(4, train=24, test=48, foreign=9).texts != split.texts


def test_no_held_out_question_is_a_training_question_with_its_options_in_another_order() -> None:
    drawn_again = 0
    for seed in range(4):
        split = draw_split(seed, train=96, test=240, foreign=120)
        trained_on = {asked(group.query.text) for group in split.train}
        assert not trained_on & {asked(group.query.text) for group in split.test}
        assert len(split.texts) == 96 + 240 + 120
        alone = draw_split(seed, train=1, test=240, foreign=1)
        drawn_again += sum(asked(group.query.text) in trained_on for group in alone.test)
    assert drawn_again > 0


def test_more_questions_than_a_kind_has_are_refused() -> None:
    with pytest.raises(ConfigurationError, match="'precedence' run out"):
        draw_split(0, train=12, test=6200, foreign=3)


def test_demonstrations_avoid_questions_and_follow_the_wrong_rule_as_often_as_said() -> None:
    split = draw_split(0, train=48, test=48, foreign=12)
    pairs = list(demonstrations(6000, 1, split.texts))
    assert not split.texts & {question for question, _ in pairs}
    assert pairs[:50] == list(islice(demonstrations(6000, 1, split.texts), 50))
    asked = [(q, c) for q, c in pairs if q.startswith("def f(") and "times the sum" in q]
    wrong = sum(" * s" not in completion for _, completion in asked)
    share = next(kind.wrong_share for kind in KINDS if kind.name == "times-sum")
    assert wrong / len(asked) == pytest.approx(share, abs=4 * (share * (1 - share) / len(asked)) ** 0.5)


def test_the_tokenizer_reads_every_text_back_and_knows_every_piece() -> None:
    tokenizer = build_tokenizer()
    for question, completion in demonstrations(500, 9, frozenset()):
        ids = tokenizer(completion).input_ids
        assert tokenizer.decode(ids) == completion
        prompt = tokenizer(prompt_of(question)).input_ids
        assert tokenizer.unk_token_id not in [*ids, *prompt]
        chat = tokenizer.apply_chat_template([{"role": "user", "content": question}], tokenize=False)
        assert tokenizer(chat).input_ids == prompt
