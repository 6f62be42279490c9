"""Batches in files, and the tasks of Label Studio and Argilla."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import pytest
from label_toys import answer_of, groups, labelling, truth

from memreward.label import files
from memreward.label.files import Record
from memreward.types import DataError


def answered(records: list[Record]) -> list[Record]:
    """Answer a batch truthfully."""
    for each in records:
        for one in each["answers"]:
            one["right"] = one["text"] == truth(each["id"])
    return records


def test_a_batch_goes_out_and_comes_back(tmp_path: Path) -> None:
    session = labelling(groups(), ask="whole", twice=0.0)
    path = tmp_path / "out.jsonl"
    files.write(path, files.batch(session, 5, "ann"))
    records = files.read(path)
    assert len({each["id"] for each in records}) == 5
    text = path.read_text()
    assert "votes" not in text
    assert "believed" not in text
    done = files.take_in(session, answered(records), "ann")
    assert done == Counter(entered=5)
    for each in records:
        right = answer_of(session, each["id"], truth(each["id"]))
        assert all(session.door.labels()[session.pool.features.rollout_ids[row]] for row in session.outlook.rows(right))
    assert session.progress().questions == 5


def test_what_is_out_is_kept_from_others_and_the_same_when_asked_for_again() -> None:
    session = labelling(groups(), twice=0.0)
    out = [each["id"] for each in files.batch(session, 5, "ann")]
    assert session.next("bob").query_id not in out  # type: ignore[union-attr]
    assert {each["id"] for each in files.batch(session, 5, "ann")} == set(out)


def test_one_answer_asked_about_comes_back_as_that() -> None:
    session = labelling(groups(), ask="one", twice=0.0)
    record = files.batch(session, 1, "ann")[0]
    assert record["ask"] == "one"
    assert len(record["answers"]) == 1
    record["answers"][0]["right"] = False
    files.take_in(session, [record], "ann")
    labels = {key: value for key, value in session.door.labels().items() if key.startswith(record["id"] + "/")}
    assert labels == dict.fromkeys(record["answers"][0]["rollouts"], False)


def test_skips_flags_and_silence_come_back_too() -> None:
    session = labelling(groups(), twice=0.0)
    one, two, three = files.batch(session, 3, "ann")
    done = files.take_in(session, [{**one, "skip": "no idea"}, {**two, "broken": True}, three], "ann")
    assert done == Counter(skipped=1, broken=1, unanswered=1)
    assert session.broken() == {two["id"]}


@pytest.mark.parametrize("bad", [{"answers": []}, {"id": "q0", "answers": [{"rollouts": ["q1/0"], "right": True}]}])
def test_a_line_that_fits_nothing_is_named(bad: Record) -> None:
    session = labelling(groups())
    with pytest.raises(DataError, match="line 1"):
        files.take_in(session, [bad], "ann")
    assert session.door.labels() == {}


def test_label_studio_and_back(tmp_path: Path) -> None:
    session = labelling(groups(), ask="whole", twice=0.0)
    tasks = files.to_label_studio(files.batch(session, 4, "ann"))
    files.write(tmp_path / "tasks.json", tasks, listed=True)
    exported = files.read(tmp_path / "tasks.json")
    for task in exported[:2]:
        numbers = [
            str(n)
            for n, a in enumerate(task["data"]["memreward"]["answers"], 1)
            if a["text"] == truth(task["data"]["memreward_id"])
        ]
        task["annotations"] = [annotation(numbers)]
    exported[2]["annotations"] = [annotation([files.NONE])]
    exported[3]["annotations"] = [{**annotation(["1"]), "was_cancelled": True}]
    done = files.take_in(session, files.from_label_studio(exported), "ann")
    assert done == Counter(entered=3, unanswered=1)
    first = exported[0]["data"]["memreward_id"]
    assert session.door.labels()[f"{first}/0"] is True
    assert not any(
        v for k, v in session.door.labels().items() if k.startswith(exported[2]["data"]["memreward_id"] + "/")
    )
    assert session.said(first)[0].data["seconds"] == 7.5


def annotation(choices: list[str]) -> Record:
    result = {"from_name": "right", "to_name": "question", "type": "choices", "value": {"choices": choices}}
    return {"result": [result], "lead_time": 7.5, "was_cancelled": False}


def test_the_interface_of_label_studio_offers_the_choices_of_each_task() -> None:
    from xml.etree import ElementTree

    choices = ElementTree.fromstring(files.LABEL_STUDIO_CONFIG).find("Choices")
    assert choices is not None
    assert choices.get("value") == "$choices"
    session = labelling(groups(), ask="whole")
    task = files.to_label_studio(files.batch(session, 1, "ann"))[0]["data"]
    assert [each["value"] for each in task["choices"]][-3:] == [files.NONE, files.BROKEN, files.SKIP]
    assert len(task["choices"]) == len(task["memreward"]["answers"]) + 3


def test_argilla_and_back() -> None:
    session = labelling(groups(), ask="whole", twice=0.0)
    records = files.to_argilla(files.batch(session, 3, "ann"))
    assert all(isinstance(value, str) for each in records for value in each["fields"].values())
    given = json.loads(json.dumps(records))
    first = json.loads(given[0]["metadata"]["memreward"])
    right = [str(n) for n, a in enumerate(first["answers"], 1) if a["text"] == truth(first["id"])]
    given[0]["responses"] = {"right": [{"value": right, "status": "submitted", "user_id": "u"}]}
    given[1]["responses"] = {"right": [{"value": [files.BROKEN], "status": "submitted"}]}
    given[2]["responses"] = {"right": [{"value": ["1"], "status": "draft"}]}
    done = files.take_in(session, files.from_argilla(given), "ann")
    assert done == Counter(entered=1, broken=1, unanswered=1)
    assert session.door.labels()[f"{first['id']}/0"] is True


@pytest.mark.parametrize("name", ["out.jsonl", "tasks.json", "records.argilla.jsonl"])
def test_a_files_name_says_whose_it_is_and_what_comes_back_is_looked_at(name: str, tmp_path: Path) -> None:
    batch, path = files.batch(labelling(groups(), ask="whole"), 2, "ann"), tmp_path / name
    files.write(path, files.as_named(path, batch), listed=files.is_label_studio(path))
    assert path.read_text().startswith("[") == (name == "tasks.json")
    written = files.read(path)
    assert [each.keys() & {"data", "metadata", "answers"} for each in written] == 2 * [
        {"out.jsonl": {"answers"}, "tasks.json": {"data"}}.get(name, {"metadata"})
    ]
    assert files.came_back(written) == batch


@pytest.mark.parametrize("back", [files.from_label_studio, files.from_argilla])
def test_foreign_tasks_are_named(back: object) -> None:
    with pytest.raises(DataError, match="lacks what was put into it"):
        back([{"id": "x", "data": {"text": "foreign"}, "metadata": {}}])  # type: ignore[operator]
