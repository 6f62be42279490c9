from __future__ import annotations

import dataclasses
import json
import os
import pickle
import shutil
import sqlite3
import subprocess
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from echo import Echo

from memreward import sqlite
from memreward.data import read_groups
from memreward.domains.shared.cache import VerdictCache
from memreward.memory import FROM_FILE, AddReport, Budget, ExperienceMemory, Judgement, Told, label
from memreward.memory.store import FILE
from memreward.types import DataError, Group, Query, Rollout, SchemaVersionError, StoreError, Truth

MakeGroup = Callable[..., Group]


def sealed(group: Group) -> Group:
    return replace(group, truth=Truth())


@pytest.fixture(params=["folder", "in_memory"])
def memory(request: pytest.FixtureRequest, tmp_path: Path) -> ExperienceMemory:
    return ExperienceMemory.open(tmp_path / "memory") if request.param == "folder" else ExperienceMemory.in_memory()


def strange_group() -> Group:
    query = Query("it's a \"q\"; -- \ud800\x00 \\' 😀", "lone \udfff \ufdd0d800", "other", "set \ud83d\ude00")
    rollout = Rollout(
        query, "x" * 100_000 + "\ud800", "\udc80", "\ud800", "r'\udc00", "v\udfff", (-0.1, -1 / 3, -1e-300), False
    )
    empty = Rollout(query, "", "", None, "empty", token_logprobs=())
    return Group(
        query, (rollout, empty), Truth("\udfff", (True, None)), {"k\ud800": [None, 1.5]}, ({"a": "\ud800"}, {})
    )


def test_what_goes_in_comes_out_in_order_and_without_truth(memory: ExperienceMemory, make_group: MakeGroup) -> None:
    groups = [
        make_group("b", policy_version="step-1", token_logprobs=(-0.1, -2.0), truncated=True),
        strange_group(),
        make_group("a", rollouts=0, correct=(), reference=None),
        make_group("c", rollouts=64, dataset=""),
    ]
    assert memory.add(groups) == AddReport(4, 3 + 2 + 64, 0)
    assert memory.groups() == [sealed(group) for group in groups]
    assert memory.query_ids() == [group.query.id for group in groups]
    assert memory.counts() == {"queries": 4, "rollouts": 69, "references": 3, "verdicts": 68, "ledger": 0}
    assert len(memory) == 4
    assert memory.groups([groups[1].query.id, "unknown", "b"]) == [sealed(groups[0]), sealed(groups[1])]
    assert memory.rollouts_of(["b"]) == list(groups[0].rollouts)
    assert memory.groups([]) == []


def test_a_reopened_memory_has_the_same(tmp_path: Path, make_group: MakeGroup) -> None:
    ExperienceMemory.open(tmp_path / "m").add([strange_group(), make_group("a")])
    assert ExperienceMemory.open(f"file://{tmp_path}/m").groups() == [sealed(strange_group()), sealed(make_group("a"))]


def test_an_empty_memory_gives_empty_answers(memory: ExperienceMemory) -> None:
    assert memory.add([]) == AddReport()
    assert (memory.groups(), memory.groups(recent=3), memory.query_ids(), memory.rollouts_of(["a"])) == ([], [], [], [])
    assert memory.ledger.labels() == []
    assert len(memory) == 0


def test_no_field_of_a_group_holds_truth(memory: ExperienceMemory, make_group: MakeGroup) -> None:
    memory.add([make_group("a", reference="the sealed reference"), make_group("b")])
    label(memory, ["a"], FROM_FILE, use="warmup")
    for group in [*memory.groups(), *memory.groups(["a"]), *memory.groups(recent=2)]:
        assert group.truth == Truth()
        assert "sealed reference" not in repr(dataclasses.asdict(group))


def test_adding_again_changes_nothing(memory: ExperienceMemory, make_group: MakeGroup) -> None:
    groups = [make_group("a"), strange_group()]
    memory.add(groups)
    assert memory.add(groups) == AddReport()
    assert memory.add(memory.groups()) == AddReport()
    assert memory.groups() == [sealed(group) for group in groups]
    assert memory.counts()["verdicts"] == 4
    assert label(memory, ["a"], FROM_FILE, use="warmup").labels != []


def test_a_query_collects_rollouts_over_visits(memory: ExperienceMemory, make_group: MakeGroup) -> None:
    first, second = make_group("a"), make_group("a", prefix="second-", rollouts=2)
    memory.add([first])
    assert memory.add([second, make_group("b")]) == AddReport(1, 5, 0)
    (group, _) = memory.groups()
    assert group.rollouts == first.rollouts + second.rollouts
    assert [one.rollout_id for one in label(memory, ["a"], FROM_FILE, use="x").labels] == [r.id for r in group.rollouts]


def test_one_question_on_two_lines_is_one_query(memory: ExperienceMemory, make_group: MakeGroup) -> None:
    twice = [make_group("a"), make_group("a", prefix="second-")]
    assert memory.add([*twice, twice[0]]) == AddReport(1, 6, 0)
    assert memory.groups()[0].rollouts == twice[0].rollouts + twice[1].rollouts


def test_later_arrivals_add_what_was_unknown_and_take_nothing_away(
    memory: ExperienceMemory, make_group: MakeGroup
) -> None:
    rich = make_group("a", policy_version="step-1", token_logprobs=(-0.5,), truncated=False)
    poor = replace(
        make_group("a", dataset="", reference=None, correct=()), provenance={"level": 3}, rollout_provenance=()
    )
    memory.add([poor])
    assert memory.add([rich]) == AddReport(0, 0, 4)
    assert memory.add([poor]) == AddReport()
    (group,) = memory.groups()
    assert group == replace(sealed(rich), provenance={"license": "MIT", "level": 3})
    assert [one.correct for one in label(memory, ["a"], FROM_FILE, use="x").labels] == [True, False, True]


def test_parsed_fields_are_replaced_by_a_new_parse(memory: ExperienceMemory, make_group: MakeGroup) -> None:
    old = make_group("a", rollouts=1)
    new = replace(old, rollouts=(replace(old.rollouts[0], answer="better"),))
    memory.add([make_group("first"), old, make_group("last")])
    assert memory.add([new]) == AddReport(0, 0, 1)
    assert [group.query.id for group in memory.groups()] == ["first", "a", "last"]
    assert memory.groups(["a"]) == [sealed(new)]


def test_recent_keeps_the_last_rollouts_of_each_query(memory: ExperienceMemory, make_group: MakeGroup) -> None:
    memory.add([make_group("a", rollouts=4), make_group("b", rollouts=1), make_group("c", rollouts=0, correct=())])
    memory.add([make_group("a", prefix="later-", rollouts=2)])
    ids = [[rollout.id for rollout in group.rollouts] for group in memory.groups(recent=3)]
    assert ids == [["a/3", "a/later-0", "a/later-1"], ["b/0"], []]
    assert memory.groups(["b"], recent=3)[0].rollouts == memory.groups(["b"])[0].rollouts
    assert memory.groups(["a"], recent=0)[0].rollouts == ()


def test_look_ups_by_id_and_scans_agree(memory: ExperienceMemory, make_group: MakeGroup) -> None:
    ids = [f"q{index}" for index in range(300)]
    memory.add(make_group(identity, rollouts=2) for identity in ids)
    everything = {group.query.id: group for group in memory.groups()}
    for count in (1, 5, 140, 299):
        assert memory.groups(ids[:count]) == [everything[identity] for identity in ids[:count]]
        assert memory.groups(ids[:count], recent=1)[-1].rollouts == everything[ids[count - 1]].rollouts[-1:]
    assert memory.groups() == list(everything.values())


@pytest.mark.slow
def test_many_small_commits_lose_nothing(memory: ExperienceMemory, make_group: MakeGroup) -> None:
    groups = [make_group(f"q{index}", rollouts=1) for index in range(34)]
    for group in groups:
        memory.add([group])
    assert memory.groups() == [sealed(group) for group in groups]


def test_an_id_with_another_meaning_is_refused(memory: ExperienceMemory, make_group: MakeGroup) -> None:
    group = make_group("a")
    memory.add([group])
    empty = replace(group, rollouts=(), truth=Truth(), rollout_provenance=())
    bad = {
        "query 'a' is in the memory with another text: 'What is a[?]', now 'Another[?]'; give": replace(
            empty, query=replace(group.query, text="Another?")
        ),
        "query 'a' is in the memory with another domain": replace(empty, query=replace(group.query, domain="qa")),
        "rollout 'a/0' is in the memory with another text": replace(
            group, rollouts=(replace(group.rollouts[0], text="other"), *group.rollouts[1:])
        ),
        "rollout 'a/0' is in the memory with another query: 'a', now 'b'": replace(
            make_group("b"), rollouts=tuple(replace(r, query=Query("b", "What is b?", "math")) for r in group.rollouts)
        ),
        "rollout 'a/0' answers query 'a' but stands in the group of 'b'": replace(
            make_group("b"), rollouts=group.rollouts
        ),
        "3 rollouts with 1 verdicts": replace(make_group("b"), truth=Truth(None, (True,))),
        "3 rollouts with 1 provenance": replace(make_group("b"), rollout_provenance=({},)),
    }
    for message, change in bad.items():
        with pytest.raises(DataError, match=message.replace("(", r"\(")):
            memory.add([make_group("new"), change])
    assert memory.groups() == [sealed(group)]
    assert memory.counts() == {"queries": 1, "rollouts": 3, "references": 1, "verdicts": 3, "ledger": 0}


def filled(memory: ExperienceMemory, make_group: MakeGroup) -> ExperienceMemory:
    memory.add([make_group("b", token_logprobs=(-0.5, -1 / 3)), strange_group(), make_group("a", correct=(None,) * 3)])
    label(memory, ["b"], FROM_FILE, use="warmup")
    label(memory, ["a"], Echo(), use="verify")
    label(memory, None, Told("Ada", [Judgement("a", True, rollout_id="a/0")]), use="warmup")
    return memory


def test_export_and_import_lose_nothing(memory: ExperienceMemory, make_group: MakeGroup, tmp_path: Path) -> None:
    filled(memory, make_group).export(tmp_path / "export")
    manifest = json.loads((tmp_path / "export" / "manifest.json").read_text())
    assert manifest["tables"]["queries"]["rows"] == 3
    copy = ExperienceMemory.open(tmp_path / "copy")
    assert copy.import_(tmp_path / "export") == AddReport(3, 8, 0)
    assert copy.import_(tmp_path / "export") == AddReport()
    assert copy.groups() == memory.groups()
    assert copy.counts() == memory.counts()
    assert copy.ledger.entries() == memory.ledger.entries()
    everything = memory.query_ids()
    assert label(copy, everything, FROM_FILE, use="all").labels[0].correct is True
    for kept in (memory, copy):
        verifier = Echo()
        label(kept, [strange_group().query.id], verifier, use="all")
        assert {claim.reference for claim in verifier.asked} == {"\udfff"}
    copy.export(tmp_path / "again")
    assert copy.groups() == memory.groups()


def test_an_import_merges_with_what_is_there(make_group: MakeGroup, tmp_path: Path) -> None:
    filled(ExperienceMemory.in_memory(), make_group).export(tmp_path / "export")
    other = ExperienceMemory.in_memory()
    other.add([make_group("b", prefix="mine-"), make_group("z")])
    assert other.import_(tmp_path / "export") == AddReport(2, 8, 0)
    assert set(other.query_ids()) == {"a", "b", "z", strange_group().query.id}
    assert len(other.rollouts_of(["b"])) == 6
    clash = ExperienceMemory.in_memory()
    clash.add([make_group("b", text="Another?")])
    with pytest.raises(DataError, match="'b' is in the memory with another text"):
        clash.import_(tmp_path / "export")


def test_damaged_or_foreign_exports_are_refused(make_group: MakeGroup, tmp_path: Path) -> None:
    memory = filled(ExperienceMemory.in_memory(), make_group)
    memory.export(tmp_path / "export")
    with pytest.raises(StoreError, match="not empty"):
        memory.export(tmp_path / "export")
    with pytest.raises(DataError, match="no manifest"):
        memory.import_(tmp_path)
    manifest = tmp_path / "export" / "manifest.json"
    content = manifest.read_text()
    manifest.write_text(content.replace('"schema_version": 2', '"schema_version": 99'))
    with pytest.raises(SchemaVersionError, match="schema version 99, this release reads up to 2; update memreward"):
        memory.import_(tmp_path / "export")
    manifest.write_text(content)
    table = tmp_path / "export" / "rollouts.parquet"
    table.write_bytes(table.read_bytes()[:-20])
    with pytest.raises(DataError, match=r"rollouts\.parquet: damaged or missing"):
        ExperienceMemory.in_memory().import_(tmp_path / "export")


def test_a_newer_memory_is_refused(tmp_path: Path, make_group: MakeGroup) -> None:
    ExperienceMemory.open(tmp_path / "m").add([make_group("a")])
    with closing(sqlite3.connect(tmp_path / "m" / FILE)) as connection:
        connection.execute("PRAGMA user_version = 99")
    with pytest.raises(SchemaVersionError, match="schema version 99, this release reads up to 2; update memreward"):
        ExperienceMemory.open(tmp_path / "m")


def test_a_memory_that_another_process_makes_meanwhile_is_shared(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, make_group: MakeGroup
) -> None:
    look = Path.exists

    def made_behind_our_back(path: Path) -> bool:
        found = look(path)
        if path == tmp_path / "m" / FILE and not found:
            monkeypatch.undo()
            ExperienceMemory.open(tmp_path / "m").add([make_group("q0")])
        return found

    monkeypatch.setattr(Path, "exists", made_behind_our_back)
    assert len(ExperienceMemory.open(tmp_path / "m")) == 1


def test_what_is_no_memory_is_refused_and_left_alone(tmp_path: Path, make_group: MakeGroup) -> None:
    with pytest.raises(StoreError, match="no experience memory; check the path, or run memreward warmup"):
        ExperienceMemory.open(tmp_path / "absent", create=False)
    assert not (tmp_path / "absent").exists()
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes" / "note.txt").write_text("mine")
    with pytest.raises(StoreError, match=r"not an experience memory: it holds 'note\.txt'; choose"):
        ExperienceMemory.open(tmp_path / "notes")
    assert [path.name for path in (tmp_path / "notes").iterdir()] == ["note.txt"]
    (tmp_path / "empty").mkdir()
    with pytest.raises(StoreError, match="not an experience memory"):
        ExperienceMemory.open(tmp_path / "empty", create=False)
    with pytest.raises(StoreError, match="the path is a file"):
        ExperienceMemory.open(tmp_path / "notes" / "note.txt")
    (tmp_path / "foreign").mkdir()
    with closing(sqlite3.connect(tmp_path / "foreign" / FILE)) as connection:
        connection.execute("CREATE TABLE notes (note TEXT)")
    with pytest.raises(StoreError, match=r"its tables are not those of the experience memory"):
        ExperienceMemory.open(tmp_path / "foreign")
    (tmp_path / "torn").mkdir()
    (tmp_path / "torn" / FILE).write_bytes(b"no database" * 1_000)
    with pytest.raises(StoreError, match="restore the file from a copy"):
        ExperienceMemory.open(tmp_path / "torn")
    with pytest.raises(StoreError, match="a memory is a folder on a local disk"):
        ExperienceMemory.open("s3://bucket/memory")


def test_a_memory_of_a_release_before_0_2_is_named_and_told_how_to_carry_over(tmp_path: Path) -> None:
    (tmp_path / "old" / "meta.lance").mkdir(parents=True)
    for create in (True, False):
        with pytest.raises(
            StoreError, match=r"release before 0\.2.*LanceDB.*export\('exported'\).*import_\('exported'\)"
        ):
            ExperienceMemory.open(tmp_path / "old", create=create)
    assert [path.name for path in (tmp_path / "old").iterdir()] == ["meta.lance"]


def test_a_memory_whose_making_was_cut_short_is_made_whole(tmp_path: Path, make_group: MakeGroup) -> None:
    (tmp_path / "m").mkdir()
    (tmp_path / "m" / FILE).touch()
    memory = ExperienceMemory.open(tmp_path / "m")
    memory.add([make_group("a")])
    assert memory.groups() == [sealed(make_group("a"))]


def test_the_ledger_cannot_be_changed_behind_its_back(tmp_path: Path, make_group: MakeGroup) -> None:
    memory = ExperienceMemory.open(tmp_path / "m")
    memory.add([make_group("a")])
    label(memory, ["a"], FROM_FILE, use="warmup")
    for change in ("DELETE FROM ledger", "UPDATE ledger SET use = 'nothing'"):
        with (
            closing(sqlite3.connect(tmp_path / "m" / FILE)) as connection,
            pytest.raises(sqlite3.IntegrityError, match="the ledger only grows"),
        ):
            connection.execute(change)
    assert {entry.use for entry in memory.ledger.entries()} == {"warmup"}


def test_a_memory_travels_to_another_process_only_from_a_folder(tmp_path: Path, make_group: MakeGroup) -> None:
    memory = ExperienceMemory.open(tmp_path / "m")
    memory.add([make_group("a")])
    assert pickle.loads(pickle.dumps(memory)).groups() == memory.groups()
    with pytest.raises(StoreError, match="lives in this process cannot be sent"):
        pickle.dumps(ExperienceMemory.in_memory())


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(folder)]
    if os.geteuid() != 0 or shutil.which("mount") is None or subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("a small file system can be mounted by root only")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


def test_a_full_disk_is_reported_and_loses_nothing(small_disk: Path, make_group: MakeGroup) -> None:
    memory = ExperienceMemory.open(small_disk / "m")
    acknowledged: list[Group] = []
    incompressible = np.random.default_rng(0).integers(0x4E00, 0x9FFF, size=(200, 40_000))

    def fill() -> None:
        for index, codes in enumerate(incompressible):
            group = make_group(f"q{index}", text="".join(map(chr, codes)))
            memory.add([group])
            acknowledged.append(group)

    with pytest.raises(StoreError, match=r"memory\.sqlite: .* cannot be written: the disk is full: free space"):
        fill()
    assert acknowledged
    assert ExperienceMemory.open(small_disk / "m").groups([g.query.id for g in acknowledged]) == [
        sealed(group) for group in acknowledged
    ]
    subprocess.run(["mount", "-o", "remount,size=20m", str(small_disk)], check=True)
    memory.add([make_group("after")])
    assert memory.groups(["after"]) == [sealed(make_group("after"))]


def test_a_read_only_memory_can_be_read(small_disk: Path, make_group: MakeGroup) -> None:
    ExperienceMemory.open(small_disk / "m").add([make_group("a")])
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
    memory = ExperienceMemory.open(small_disk / "m", create=False)
    assert memory.groups() == [sealed(make_group("a"))]
    with pytest.raises(StoreError, match="the file system is read-only"):
        memory.add([make_group("b")])
    with pytest.raises(StoreError, match=r"cannot be made: check the path.*Read-only file system"):
        ExperienceMemory.open(small_disk / "new")


def test_real_rollouts_round_trip(
    shared_data: Path, tmp_path: Path, drawn: Callable[[Iterable[Group]], list[Group]]
) -> None:
    groups = drawn(read_groups(shared_data / "rollouts" / "humaneval_gpt-3.5-turbo.jsonl.gz"))
    memory = ExperienceMemory.open(tmp_path / "m")
    assert memory.add(groups) == AddReport(len(groups), 5 * len(groups), 0)
    assert memory.groups() == [sealed(group) for group in groups]
    labels = label(memory, memory.query_ids(), FROM_FILE, Budget(share=1.0), "evaluation").labels
    assert [label.correct for label in labels] == [verdict for group in groups for verdict in group.truth.correct]


def test_a_file_that_is_no_database_leaves_no_connection_open(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[sqlite3.Connection] = []
    made = sqlite._connected
    monkeypatch.setattr(sqlite, "_connected", lambda address: opened.append(made(address)) or opened[-1])
    (tmp_path / "judged.sqlite").write_bytes(b"no database" * 100)
    with pytest.raises(StoreError):
        VerdictCache(tmp_path)
    assert opened
    for connection in opened:
        with pytest.raises(sqlite3.ProgrammingError, match="closed"):
            connection.execute("SELECT 1")
