"""Files that other packages wrote (tests/data/formats/make.py), and tables with columns of any name."""

from __future__ import annotations

import contextlib
import csv
import gzip
import json
import random
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from memreward.data import group_from_record, read_groups, write_groups
from memreward.data.chat import query_id_of
from memreward.data.formats import FORMATS, Reading
from memreward.types import ConfigurationError, DataError, Group, MemRewardError
from rows import each_row

HERE = Path(__file__).parent / "formats"
SUMS = {"What is 2 + 3?": "5", "What is 4 + 4?": "8", "What is 7 + 6?": "13"}
MATH = Reading(domain="math")


def groups_of(*paths: Path, **reading: Any) -> dict[str, Group]:
    found = read_groups(paths[0] if len(paths) == 1 else paths, reading=Reading(**({"domain": "math"} | reading)))
    return {group.query.text: group for group in found}


def rows(path: Path, *given: Any) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in given), encoding="utf-8")
    return path


def answers(group: Group) -> list[str | None]:
    return [rollout.answer for rollout in group.rollouts]


def test_verl_dumps_have_the_users_question_its_ground_truth_and_the_step() -> None:
    found = groups_of(HERE / "verl")
    assert {text: group.truth.reference for text, group in found.items()} == SUMS
    sums = found["What is 2 + 3?"]
    assert answers(sums) == ["5", "5", "6"]
    assert {rollout.policy_version for rollout in sums.rollouts} == {"step-7"}
    assert sums.query.id == query_id_of("What is 2 + 3?")
    assert sums.truth.correct == (None, None, None), "a score is a verdict only where somebody says so"
    judged = groups_of(HERE / "verl" / "7.jsonl", correct="acc")["What is 2 + 3?"]
    assert judged.truth.correct == (True, True, False)


def test_trl_completions_are_chats_of_a_step() -> None:
    found = groups_of(HERE / "trl_completions_00001.parquet", correct="accuracy_reward")
    assert set(found) <= set(SUMS)
    for text, group in found.items():
        assert group.truth.reference == SUMS[text]
        assert len(group.rollouts) == len(group.truth.correct) == 2
        assert {rollout.policy_version for rollout in group.rollouts} == {"step-1"}
        assert all(len(rollout.text) == 6 for rollout in group.rollouts)
        assert "advantage" in group.rollout_provenance[0]


def test_lm_eval_samples_give_each_document_once_with_its_repeats(tmp_path: Path) -> None:
    path = HERE / "lm_eval_samples_sums.jsonl"
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    assert len(lines) == 6, "two filters"
    found = groups_of(path)
    assert {text: group.truth.reference for text, group in found.items()} == SUMS
    assert [len(group.rollouts) for group in found.values()] == [2, 2, 2]
    said = {line["doc"]["question"]: line["resps"][0] for line in lines}
    assert all([r.text for r in group.rollouts] == said[text] for text, group in found.items())
    with pytest.raises(DataError, match="1 verdicts on 2 completions"):
        groups_of(path, correct="exact_match")
    alone = rows(tmp_path / "samples.jsonl", *(line | {"resps": [line["resps"][0][:1]]} for line in lines[:3]))
    judged = groups_of(alone, correct="exact_match")
    assert [group.truth.correct for group in judged.values()] == [(bool(line["exact_match"]),) for line in lines[:3]]


def test_lm_eval_likelihoods_are_refused(tmp_path: Path) -> None:
    row = {"doc_id": 0, "doc": {"question": "q"}, "target": "a", "resps": [[["-1.0", "False"]]], "arguments": {}}
    with pytest.raises(DataError, match="line 1: field 'resps': holds log-likelihoods"):
        groups_of(rows(tmp_path / "s.jsonl", row))


def test_inspect_archives_have_one_rollout_an_epoch_with_its_reasoning() -> None:
    found = groups_of(HERE / "inspect.eval", correct="match")
    assert {text: group.truth.reference for text, group in found.items()} == SUMS
    assert [len(group.rollouts) for group in found.values()] == [2, 2, 2]
    texts = [rollout.text for group in found.values() for rollout in group.rollouts]
    assert [text for text in texts if text.startswith("<think>\nTwo and three.\n</think>")]
    for text, group in found.items():
        assert group.truth.correct == tuple(answer == SUMS[text] for answer in answers(group))


def test_inspect_choices_become_lettered_options() -> None:
    (group,) = read_groups(HERE / "inspect.json")
    assert group.query.text.splitlines() == ["Which is a fruit?", "(A) stone", "(B) pear", "(C) iron"]
    assert (group.query.domain, group.truth.reference) == ("qa", "B")
    assert sorted(map(str, answers(group))) == ["A", "B"]


def test_columns_of_one_option_each_are_the_options(tmp_path: Path) -> None:
    lettered = {
        "question": "Which is a fruit?",
        "A": "stone",
        "B": "pear",
        "C": "iron",
        "answer": "B",
        "response": "It is B.",
    }
    named = {
        "sentence": "The _ is sour.",
        "option1": "stone",
        "option2": "pear",
        "answer": 2,
        "response": "Option2: pear",
    }
    apart = {"question": "Which is red?", "option_a": "rose", "option_b": "sky", "answer": "A", "response": "rose"}
    (one,) = read_groups(rows(tmp_path / "one.jsonl", lettered), reading=Reading(domain="qa"))
    assert one.query.text.splitlines() == ["Which is a fruit?", "(A) stone", "(B) pear", "(C) iron"]
    (two,) = read_groups(rows(tmp_path / "two.jsonl", named), reading=Reading(domain="qa", question="sentence"))
    assert two.query.text.splitlines() == ["The _ is sour.", "Option1: stone", "Option2: pear"]
    (three,) = read_groups(rows(tmp_path / "three.jsonl", apart), reading=Reading(domain="qa"))
    assert three.query.text.splitlines() == ["Which is red?", "(A) rose", "(B) sky"]
    assert [answers(group) for group in (one, two, three)] == [["B"], ["2"], ["A"]]
    assert [group.truth.reference for group in (one, two, three)] == ["B", "2", "A"]


def test_what_looks_like_options_beside_a_question_is_kept_apart(tmp_path: Path) -> None:
    added = {"question": "What is A + B?", "A": 2, "B": 3, "answer": "5", "response": "5"}
    (group,) = read_groups(rows(tmp_path / "sum.jsonl", added), reading=MATH)
    assert group.query.text == "What is A + B?"


def test_an_instruction_with_an_empty_input_is_the_question(tmp_path: Path) -> None:
    row = {"instruction": "What is 2 + 3?", "input": "", "output": "It is 5.", "answer": "5"}
    assert list(groups_of(rows(tmp_path / "alpaca.jsonl", row))) == ["What is 2 + 3?"]


def test_batch_outputs_are_asked_for_by_custom_id() -> None:
    found = groups_of(HERE / "openai_output.jsonl", requests=HERE / "openai_requests.jsonl")
    assert len(found) == 3
    sums = found["Answer the question. End with 'The answer is X.'\n\nWhat is 2 + 3?"]
    assert answers(sums) == ["5", "5", "6"]
    assert [rollout.truncated for rollout in sums.rollouts] == [False, False, True]
    assert sums.rollouts[0].token_logprobs == (-0.5,)
    plain = groups_of(HERE / "vllm_output.jsonl", requests=HERE / "openai_requests.jsonl")
    assert [answers(group) for group in plain.values()] == [["5"]]


def test_a_batch_without_requests_says_what_to_give() -> None:
    said = r"line 1: field 'custom_id': \d answers do not say what was asked, 'q2' for one.*--requests"
    with pytest.raises(DataError, match=said):
        groups_of(HERE / "openai_output.jsonl")


def test_a_failed_request_is_named_and_can_be_left_out(tmp_path: Path) -> None:
    lines = (HERE / "openai_output.jsonl").read_text().splitlines()
    failed = {"id": "b", "custom_id": "q9", "response": {"status_code": 429, "body": {"error": {"message": "slow"}}}}
    late = {"id": "c", "custom_id": "q9", "response": None, "error": {"code": "batch_expired", "message": "late"}}
    (tmp_path / "out.jsonl").write_text("\n".join([json.dumps(failed), *lines, json.dumps(late)]))
    requests = rows(tmp_path / "in.jsonl", {"custom_id": "q9", "body": {"prompt": "x"}})
    requests.write_text(requests.read_text() + (HERE / "openai_requests.jsonl").read_text())
    with pytest.raises(DataError, match=r"line 1: 2 requests failed, here by 429 \(slow\)"):
        groups_of(tmp_path / "out.jsonl", requests=requests)
    said: list[str] = []
    reading = Reading(domain="math", requests=requests)
    assert len(list(read_groups(tmp_path / "out.jsonl", reading=reading, skip_bad=True, on_skip=said.append))) == 3
    assert len(said) == 1


def test_rollouts_find_their_questions_inside_their_prompts(tmp_path: Path) -> None:
    asked = {"2 + 3": "0", **SUMS}  # the longest one that stands in a prompt is what was asked
    questions = rows(tmp_path / "q.jsonl", *({"problem": q, "solution": a, "unit": 1} for q, a in asked.items()))
    found = groups_of(questions, HERE / "openai_output.jsonl", requests=HERE / "openai_requests.jsonl")
    assert {text: group.truth.reference for text, group in found.items()} == asked
    assert [len(group.rollouts) for group in found.values()] == [0, 3, 3, 3]
    assert found["What is 2 + 3?"].provenance == {"unit": 1}


def test_rollouts_find_their_questions_by_custom_ids(tmp_path: Path) -> None:
    named = [{"key": f"q{i}", "problem": q, "solution": a} for i, (q, a) in enumerate(SUMS.items())]
    found = groups_of(rows(tmp_path / "q.jsonl", *named), HERE / "openai_output.jsonl", id="key")
    assert {group.query.id: answers(group)[0] for group in found.values()} == {"q0": "5", "q1": "8", "q2": "13"}


def test_a_data_set_folder_is_a_table() -> None:
    found = groups_of(HERE / "hf_dataset", completions="outs")
    assert {text: group.truth.reference for text, group in found.items()} == SUMS
    assert answers(found["What is 2 + 3?"]) == ["5", "5", "6"]


@pytest.mark.parametrize(
    "row",
    [
        {"correct_answer": "5", "full_response": "It is 6.", "is_solved": False},
        {"reference_answer": "5", "raw_output": "It is 6.", "is_correct": False},
        {"gold": "5", "model_outputs": ["It is 5.", "It is 6."], "per_sample_correct": [True, False]},
    ],
)
def test_columns_under_other_names_of_public_files(tmp_path: Path, row: dict[str, Any]) -> None:
    (group,) = groups_of(rows(tmp_path / "t.jsonl", {"question": "What is 2 + 3?", **row})).values()
    assert group.truth.reference == "5"
    assert answers(group)[-1] == "6"
    assert group.truth.correct[-1] is False


@pytest.mark.parametrize("name", ["t.csv", "t.csv.gz", "t.tsv", "t.jsonl", "t.json", "t.parquet"])
def test_a_long_table_is_read_from_any_container(tmp_path: Path, name: str) -> None:
    table = [
        {"Problem": "What is 2 + 3?", "gold": "5", "Response": f"The answer is {x}.", "is_correct": x == 5, "t": 1}
        for x in (5, 6)
    ]
    path = tmp_path / name
    if "sv" in name:
        with gzip.open(path, "wt") if name.endswith("gz") else path.open("w") as file:
            writer = csv.DictWriter(file, list(table[0]), delimiter="\t" if ".tsv" in name else ",")
            writer.writeheader()
            writer.writerows(table)
    elif name.endswith("parquet"):
        pq.write_table(pa.Table.from_pylist(table), path)
    elif name.endswith("json"):
        path.write_text(json.dumps(table))
    else:
        rows(path, *table)
    (group,) = groups_of(path).values()
    assert answers(group) == ["5", "6"]
    assert group.truth.correct == (True, False)
    assert group.truth.reference == "5"
    assert group.query.id == query_id_of("What is 2 + 3?")
    assert str(group.rollout_provenance[0]["t"]) == "1"


def test_a_wide_table_takes_lists_in_cells_and_columns_by_path(tmp_path: Path) -> None:
    row = {
        "info": {"q": "What is 2 + 3?", "a": 5.0},
        "outs": '["The answer is 5.", "The answer is 6."]',
        "ok": [True, None],
    }
    path = rows(tmp_path / "t.jsonl", row)
    (group,) = groups_of(path, question="info.q", answer="info.a", completions="outs", correct="ok").values()
    assert (answers(group), group.truth.reference, group.truth.correct) == (["5", "6"], "5", (True, None))


def test_rollouts_have_the_same_ids_whenever_they_are_read(tmp_path: Path) -> None:
    first = rows(tmp_path / "a.jsonl", *({"question": "q", "completion": text} for text in ("1", "2", "1")))
    again = rows(tmp_path / "b.jsonl", *({"question": "q", "completion": text} for text in ("3", "2", "1", "1")))
    (one,), (two,) = groups_of(first).values(), groups_of(again).values()
    assert len({rollout.id for rollout in one.rollouts}) == 3
    assert {r.id: r.text for r in one.rollouts}.items() <= {r.id: r.text for r in two.rollouts}.items()


def test_an_id_of_rows_is_not_taken_for_an_id_of_questions(tmp_path: Path) -> None:
    table = [{"id": i, "question": "q", "completion": str(i)} for i in range(3)]
    (group,) = groups_of(rows(tmp_path / "t.jsonl", *table)).values()
    assert len(group.rollouts) == 3
    with_ids = rows(tmp_path / "u.jsonl", *({"id": i, "question": f"q{i}", "completion": "1"} for i in range(3)))
    assert [group.query.id for group in groups_of(with_ids).values()] == ["0", "1", "2"]


def test_all_that_is_missing_is_said_in_one_message(tmp_path: Path) -> None:
    path = rows(tmp_path / "t.jsonl", {"aufgabe": "q", "antworten": ["1"]})
    with pytest.raises(DataError, match=r"--question COLUMN.*--completions COLUMN.*--domain math.*aufgabe, antworten"):
        list(read_groups(path, reading=Reading(format="table")))
    with pytest.raises(DataError, match=r"question 'aufgbe': .*'aufgabe'.*completions 'antwort': .*'antworten'"):
        list(read_groups(path, reading=Reading(question="aufgbe", completions="antwort")))


@each_row(
    ("row", "message"),
    [
        ({"question": "", "completion": "1"}, r"line 2: field 'question': is empty"),
        ({"question": "q", "completion": 3}, r"line 2: field 'completion': a int stands"),
        ({"question": "q", "completion": "1", "correct": 0.5}, r"line 2: field 'correct': is 0.5, neither"),
        ({"question": "q", "completion": ["1", "2"], "correct": [True]}, r"line 2: field 'correct': 1 verdicts on 2"),
        (
            {"question": "first", "completion": "1", "answer": "6"},
            r"line 2: field 'reference': is '6', and '5' .*line 1",
        ),
        ([], r"line 2: a row must be an object"),
    ],
)
def test_bad_rows_are_named_and_can_be_left_out(tmp_path: Path, row: Any, message: str) -> None:
    good = {"question": "first", "completion": "1", "answer": "5", "correct": True}
    path = rows(tmp_path / "t.jsonl", good, row)
    with pytest.raises(DataError, match=message):
        groups_of(path)
    assert len(list(read_groups(path, reading=MATH, skip_bad=True))) == 1


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (b"question,completion\na,b,c\n", "line 2: has 3 cells, and the first line names 2"),
        (b'question,completion\n"a,b\n', "not CSV"),
        (b"question,completion\na,\xff\n", "not UTF-8"),
    ],
)
def test_broken_csv_is_named(tmp_path: Path, text: bytes, message: str) -> None:
    (tmp_path / "t.csv").write_bytes(text)
    with pytest.raises(DataError, match=message):
        groups_of(tmp_path / "t.csv")


def test_a_question_without_a_domain_is_refused_unless_it_has_options(tmp_path: Path) -> None:
    path = rows(tmp_path / "t.jsonl", {"question": "q", "completion": "1"})
    with pytest.raises(DataError, match=r"1 of 1 questions have no domain; .*--domain math.*domain='math'"):
        list(read_groups(path))
    with_options = {"question": "Which?\n(A) one\n(B) two", "completion": "(B)", "answer": "B"}
    assert [group.query.domain for group in read_groups(rows(path, with_options))] == ["qa"]


def test_an_archive_that_is_none_is_named(tmp_path: Path) -> None:
    (tmp_path / "x.eval").write_bytes(b"no archive")
    with pytest.raises(DataError, match=r"x.eval: no log that can be read"):
        groups_of(tmp_path / "x.eval")


def test_folders_of_several_kinds_or_splits_are_refused(tmp_path: Path) -> None:
    rows(tmp_path / "a.jsonl", {"question": "q", "completion": "1"})
    (tmp_path / "b.csv").write_text("question\n")
    with pytest.raises(DataError, match="several kinds of files"):
        groups_of(tmp_path)


def test_our_own_files_are_joined_too(tmp_path: Path) -> None:
    record = {"id": "x", "dataset": "d", "domain": "math", "query": "What is 2 + 3?", "reference": "5"}
    record |= {"rollouts": [{"text": "5", "correct": True}]}
    write_groups(tmp_path / "ours.jsonl", [group_from_record(record)])
    more = rows(tmp_path / "more.jsonl", {"question": "What is 2 + 3?", "completion": "The answer is 6."})
    (group,) = groups_of(tmp_path / "ours.jsonl", more).values()
    assert (group.query.id, group.rollouts[0].id, answers(group)) == ("x", "x/0", ["5", "6"])


def test_a_reference_that_differs_within_questions_is_what_was_answered(tmp_path: Path) -> None:
    told = [{"question": f"What is {n}?", "Answer": str(n + k % 2)} for n in range(3) for k in range(4)]
    file = rows(tmp_path / "answers.jsonl", *told)
    with pytest.raises(DataError, match=r"3 of 3 questions have several.*--completions Answer.*--domain") as refused:
        list(read_groups(file))
    assert str(refused.value).count("answers.jsonl") == 1
    found = list(read_groups(file, reading=Reading(completions="Answer", domain="other")))
    assert [len(group.rollouts) for group in found] == [4, 4, 4]


def test_nested_files_are_read_by_path_through_objects_and_lists(tmp_path: Path) -> None:
    runs = [{"seed": n, "out": {"said": f"It is {n}."}, "judge": {"ok": n == 5}} for n in (5, 6)]
    row = {"about": {"uid": "u1"}, "task": {"asked": "What is 2 + 3?", "golds": ["5", "five"]}, "runs": runs}
    path = rows(tmp_path / "t.jsonl", row)
    named = {"question": "task.asked", "id": "about.uid", "correct": "runs.judge.ok", "answer": "task.golds.0"}
    (group,) = groups_of(path, completions="runs.out.said", **named).values()
    assert (group.query.id, answers(group), group.truth.reference) == ("u1", ["5", "6"], "5")
    assert group.truth.correct == (True, False)
    with pytest.raises(DataError, match=r"answer 'task.gold': .*did you mean 'task.golds'.*runs.out.said"):
        groups_of(path, completions="runs.out.said", **named | {"answer": "task.gold"})
    with pytest.raises(DataError, match=r"field 'task.golds': holds 2 references.*--answer task.golds.0"):
        groups_of(path, completions="runs.out.said", **named | {"answer": "task.golds"})


def test_a_list_of_objects_has_texts_and_verdicts(tmp_path: Path) -> None:
    said = [{"response": "It is 5.", "is_correct": 1, "truncated": False}, {"response": "It is 6.", "is_correct": None}]
    path = rows(tmp_path / "t.jsonl", {"problem": "What is 2 + 3?", "rollouts": said})
    (group,) = groups_of(path).values()
    assert (answers(group), group.truth.correct) == (["5", "6"], (True, None))
    assert group.rollouts[0].truncated is False
    with pytest.raises(DataError, match=r"an object without a text.*it has a.b"):
        groups_of(rows(path, {"problem": "q", "completions": [{"a": {"b": "x"}}]}))


def test_completions_may_have_a_column_each_and_be_missing(tmp_path: Path) -> None:
    path = rows(tmp_path / "t.jsonl", {"question": "q", "s1": "It is 1.", "s2": None, "s3": "It is 3."})
    (group,) = groups_of(path, completions="s1, s2, s3").values()
    assert answers(group) == ["1", "3"]
    with pytest.raises(DataError, match=r"completions 's4': no such column, did you mean 's\d'"):
        groups_of(path, completions="s1,s4")
    pq.write_table(pa.table({"question": ["q"], "responses": [["It is 1.", None]]}), tmp_path / "t.parquet")
    (group,) = groups_of(tmp_path / "t.parquet").values()
    assert answers(group) == ["1"]


def test_columns_that_are_named_are_not_ignored_in_our_own_schema(tmp_path: Path) -> None:
    row = {"id": "x", "query": "What is 2 + 3?", "second": "6", "rollouts": [{"id": "x/a", "text": "It is 5."}]}
    path = rows(tmp_path / "ours.jsonl", row)
    (group,) = groups_of(path).values()
    assert (group.query.id, group.query.domain, group.rollouts[0].id) == ("x", "math", "x/a")
    (group,) = groups_of(path, answer="second").values()
    assert (group.truth.reference, group.query.id, group.rollouts[0].id) == ("6", "x", "x/a")
    with pytest.raises(DataError, match=r"question 'aufgabe': no such column"):
        groups_of(path, question="aufgabe")
    with pytest.raises(DataError, match=r"is no output of a batch.*--requests"):
        groups_of(path, requests=tmp_path / "in.jsonl")


def test_a_spreadsheets_csv_has_semicolons_and_cells_that_say_missing(tmp_path: Path) -> None:
    text = "problem;solution;response\r\n" + "".join(
        f"What is {n} + 0,5?;{'NA' if n else '0,5'};It is {n}.\r\n" for n in range(3)
    )
    (tmp_path / "t.csv").write_bytes(b"\xef\xbb\xbf" + text.encode())
    found = groups_of(tmp_path / "t.csv")
    assert list(found) == ["What is 0 + 0,5?", "What is 1 + 0,5?", "What is 2 + 0,5?"]
    assert [group.truth.reference for group in found.values()] == ["0,5", None, None]


@each_row("nothing", [None, "", " ", "NA", "nan", [], [None], {"value": None}, {"ground_truth": ""}])
def test_a_reference_of_nothing_is_none(tmp_path: Path, nothing: Any) -> None:
    """A label that nobody gave would make every rollout wrong."""
    path = rows(tmp_path / "t.jsonl", {"question": "q", "completion": "It is 1.", "answer": nothing})
    (group,) = groups_of(path).values()
    assert group.truth.reference is None


@pytest.mark.parametrize("word", ["None", "NA", "null"])
def test_a_word_that_tables_write_for_nothing_may_be_an_answer_in_words(tmp_path: Path, word: str) -> None:
    row = {"question": "Which word?", "completion": f"It is {word}.", "answer": word}
    (tmp_path / "t.csv").write_text(",".join(row) + "\n" + ",".join(row.values()) + "\n")
    lines = rows(tmp_path / "t.jsonl", row)
    for path, domain, reference in ((lines, "other", word), (lines, "math", None), (tmp_path / "t.csv", "other", None)):
        (group,) = groups_of(path, domain=domain).values()
        assert group.truth.reference == reference


def test_each_of_several_files_has_some_of_the_columns(tmp_path: Path) -> None:
    asked = [{"nr": n, "statement": f"What is {n} + {n}?"} for n in range(3)]
    questions = rows(tmp_path / "questions.jsonl", *asked)
    given = rows(tmp_path / "answers.jsonl", {"nr": 1, "official": "2"})
    said = rows(tmp_path / "said.jsonl", *({"nr": n, "out": f"It is {n + k}."} for n in range(3) for k in range(2)))
    named = {"question": "statement", "id": "nr", "answer": "official", "completions": "out"}
    found = list(groups_of(questions, given, said, **named).values())
    assert [(group.query.id, answers(group)) for group in found] == [(f"{n}", [f"{n}", f"{n + 1}"]) for n in range(3)]
    assert [group.truth.reference for group in found] == [None, "2", None]
    with pytest.raises(DataError, match=r"answer 'offical': no such column, did you mean 'official'"):
        groups_of(questions, given, said, **named | {"answer": "offical"})
    with pytest.raises(DataError, match=r"field 'id': '9' is the id of no question in the other files"):
        groups_of(questions, rows(given, {"nr": 9, "official": "2"}), said, **named)


def test_the_responses_endpoint_is_read_as_a_batch_too(tmp_path: Path) -> None:
    asked = rows(tmp_path / "in.jsonl", {"custom_id": "a", "body": {"input": "What is 2 + 3?"}})
    output = [
        {"type": "reasoning", "summary": [], "content": [{"type": "reasoning_text", "text": "2 and 3."}]},
        {"type": "message", "content": [{"type": "output_text", "text": "The answer is "}, {"text": "5."}]},
    ]
    body = {"object": "response", "status": "incomplete", "output": output}
    answered = rows(tmp_path / "out.jsonl", {"custom_id": "a", "response": {"status_code": 200, "body": body}})
    (group,) = groups_of(answered, requests=asked).values()
    (rollout,) = group.rollouts
    assert (group.query.text, rollout.answer, rollout.truncated) == ("What is 2 + 3?", "5", True)
    assert "2 and 3." in rollout.thinking


def test_an_unknown_format_is_named_with_those_there_are() -> None:
    with pytest.raises(ConfigurationError, match="openai-batch"):
        list(read_groups(HERE / "verl", reading=Reading(format="vrl")))


def test_every_format_is_documented_key_by_key() -> None:
    page = (HERE.parents[2] / "docs" / "reading.md").read_text(encoding="utf-8")
    assert all(f"`{name}`" in page for name in FORMATS)


_JUNK: list[Any] = [None, 3, -1.5, "", [], {}, [None], [[1]], {"role": 1}, True, "[", ["a", 3], float("inf")]


def _places(value: Any, above: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [place for key, part in inner for place in ((*above, key), *_places(part, (*above, key)))]


@each_row("name", ["lm-eval", "openai-batch", "verl", "inspect", "trl"])
def test_rows_with_anything_anywhere_are_read_or_refused_by_name(tmp_path: Path, name: str) -> None:
    draw = random.Random(name)
    path = {"lm-eval": "lm_eval_samples_sums.jsonl", "openai-batch": "openai_output.jsonl", "verl": "verl/7.jsonl"}
    if name == "inspect":
        whole: Any = json.loads((HERE / "inspect.json").read_text())["samples"]
    elif name == "trl":
        whole = pq.read_table(HERE / "trl_completions_00001.parquet").to_pylist()
    else:
        whole = [json.loads(line) for line in (HERE / path[name]).read_text().splitlines()]
    reading = Reading(name, domain="math", requests=HERE / "openai_requests.jsonl" if name == "openai-batch" else None)
    for _ in range(60):
        changed = json.loads(json.dumps(whole[:3]))
        *above, last = draw.choice(_places(changed))
        inner = changed
        for key in above:
            inner = inner[key]
        inner[last] = draw.choice(_JUNK)
        with contextlib.suppress(MemRewardError):
            list(read_groups(rows(tmp_path / "x.jsonl", *changed), reading=reading, skip_bad=draw.random() < 0.5))
