"""The thirteen benchmarks, read by the real client from copies in the hub's own layout, from disk and over HTTP."""

from __future__ import annotations

import csv
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from memreward.data import benchmarks, load_questions, read_groups, write_groups
from memreward.data.layouts import LAYOUTS
from memreward.domains import equivalent, parse_completion
from memreward.types import ConfigurationError, DataError, Group, MissingExtraError

# The lowest datasets leaves the CSV file open that it has read.
pytestmark = pytest.mark.filterwarnings("ignore:Exception ignored in.*FileIO:pytest.PytestUnraisableExceptionWarning")

NAMES = (
    "gsm8k", "gsm-symbolic", "math", "mmlu", "commonsenseqa", "openbookqa", "arc-challenge", "gpqa", "humaneval+",
    "mbpp+", "numinamath", "piqa", "siqa",
)  # fmt: skip

# Of the last question in each copy: id, text, reference.
LAST = {
    "gsm8k": ("gsm8k-test-2", "It was 4 degrees and fell by 10. What is it now?", "-6"),
    "gsm-symbolic": ("gsm-symbolic-1-1", "Ann buys 3 kites at $4. What does she pay?", "12"),
    "math": ("math-precalculus-test-1", "In Precalculus, what is $1+2$?", "3"),
    "mmlu": ("mmlu-virology-1", "virology, question 1: which?\n(A) w\n(B) x\n(C) y\n(D) z", "B"),
    "commonsenseqa": (
        "csqa-00002",
        "Where would you look for spoon number 2?\n(A) drawer\n(B) sky\n(C) well\n(D) oven\n(E) tree",
        "C",
    ),
    "openbookqa": ("openbookqa-test-2", "Ice in room 2 will\n(A) melt\n(B) sing\n(C) grow\n(D) burn", "A"),
    "arc-challenge": (
        "arc-challenge-test-2",
        "What falls?\n(A) rain\n(B) smoke\n(C) heat\n(D) sound\n(E) light",
        "A",
    ),
    "humaneval+": (
        "HumanEval/2",
        '\ndef add2(x):\n    """Add 2."""\n',
        json.dumps(["def check(candidate):\n    assert candidate(1) == 3\n\ncheck(add2)"]),
    ),
    "mbpp+": (
        "Mbpp/4",
        "Write a function for the whole root of x plus 4.\nYour code should satisfy these tests:\n"
        "assert root4(9) == 7\nassert root4(10) == 7",
        json.dumps(["assert root4(9) == 7\nassert root4(10) == 7", "assert root4(16) == 8"]),
    ),
    "numinamath": ("numinamath-train-3", "What is 3/4 of 1?", "\\dfrac{3}{4}"),
    "piqa": ("piqa-test-2", "To dry a shirt,\n(A) hang it up.\n(B) fold it wet.", "A"),
    "siqa": (
        "social_i_qa-test-2",
        "Guest 2 broke a plate. How does the host feel?\n(A) sorry for the plate\n(B) hungry\n(C) asleep",
        "B",
    ),
}
COUNTS = {"gsm-symbolic": 4, "math": 14, "mmlu": 4, "gpqa": 6}


def options(group: Group) -> dict[str, str]:
    return {line[1]: line[4:] for line in group.query.text.splitlines() if line[:1] == "(" and line[2:4] == ") "}


def test_the_registry_names_the_papers_thirteen_with_licence_and_citation() -> None:
    known = benchmarks()
    assert tuple(known) == NAMES
    assert [b.name for b in known.values() if b.role == "out of domain"] == ["numinamath", "piqa", "siqa"]
    assert {b.domain for b in known.values() if b.role == "in domain"} == {"math", "qa", "code"}
    for benchmark in known.values():
        assert benchmark.license
        assert benchmark.citation
        assert benchmark.paper.startswith("https://")
        assert benchmark.default_split in benchmark.splits
        assert benchmark.layout in LAYOUTS
        assert benchmark.revision == "" or len(benchmark.revision) == 40


@pytest.mark.parametrize("name", NAMES)
def test_a_benchmark_is_read_from_the_hubs_layout(name: str, hub: Path) -> None:
    groups = load_questions(name, root=hub)
    benchmark = benchmarks()[name]
    assert len(groups) == COUNTS.get(name, 3)
    assert len({group.query.id for group in groups}) == len(groups)
    for group in groups:
        assert (group.query.dataset, group.query.domain) == (benchmark.title, benchmark.domain)
        assert group.rollouts == group.truth.correct == ()
        assert group.provenance["license"] == benchmark.license
        assert group.provenance["source"].startswith(benchmark.repository)
    if name in LAST:
        assert (groups[-1].query.id, groups[-1].query.text, groups[-1].truth.reference) == LAST[name]


@pytest.mark.parametrize("name", [name for name in NAMES if benchmarks()[name].domain != "code"])
def test_the_reference_answers_its_question(name: str, hub: Path) -> None:
    for group in load_questions(name, root=hub):
        query, reference = group.query, group.truth.reference
        assert reference is not None
        text = f"\\boxed{{{reference}}}" if query.domain == "math" else f"The answer is ({reference})."
        answer = parse_completion(text, query.domain, query.text).answer
        assert answer is not None
        assert equivalent(answer, reference, query.domain, query_text=query.text)
        assert query.domain == "math" or reference in options(group)


def test_code_keeps_what_a_verifier_needs(hub: Path) -> None:
    completed = load_questions("humaneval+", root=hub)[1]
    scope: dict[str, object] = {}
    (test,) = json.loads(completed.truth.reference or "")
    exec(completed.query.text + completed.provenance["canonical_solution"] + test, scope)
    assert completed.provenance["entry_point"] == "add1"
    task = load_questions("mbpp+", root=hub)[1]
    for test in json.loads(task.truth.reference or ""):
        exec(task.provenance["canonical_solution"] + "\n" + test, {})
    assert json.loads(task.truth.reference or "")[0].startswith("import math\nassert root3(9)")


def test_options_without_an_order_are_ordered_by_the_questions_id(hub: Path, tmp_path: Path) -> None:
    groups = load_questions("gpqa", root=hub)
    for number, group in enumerate(groups):
        assert sorted(options(group).values()) == [f"right {number}", "wrong a", "wrong b", "wrong c"]
        assert options(group)[group.truth.reference or ""] == f"right {number}"
    assert len({group.truth.reference for group in groups}) > 1
    assert {group.provenance["subject"] for group in groups} == {"Physics", "Chemistry"}
    copy = tmp_path / "Idavidrein" / "gpqa"
    shutil.copytree(hub / "Idavidrein" / "gpqa", copy)
    with (copy / "gpqa_main.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    with (copy / "gpqa_main.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(rows[::-1])
    assert {g.query for g in load_questions("gpqa", root=tmp_path, seed=5)} == {g.query for g in groups}


def test_rows_without_an_answer_are_left_out(hub: Path) -> None:
    assert [group.query.id[-1] for group in load_questions("numinamath", root=hub)] == ["0", "2", "3"]
    assert [group.query.id[-1] for group in load_questions("numinamath", root=hub, n=4)].count("1") == 0
    assert len(load_questions("numinamath", root=hub, n=3)) == 3


def test_splits_are_named_alike_and_withheld_ones_are_refused(hub: Path) -> None:
    assert load_questions("gsm8k", root=hub, split="train")[0].query.id == "gsm8k-train-0"
    assert len(load_questions("piqa", root=hub, split="train")) == 1
    assert len(load_questions("piqa", root=hub, split="test")) == 3
    with pytest.raises(ConfigurationError, match="commonsenseqa has no split 'validation' with answers; use one of tr"):
        load_questions("commonsenseqa", root=hub, split="validation")


@pytest.mark.parametrize("name", ["mmlu", "math", "gsm8k"])
def test_a_sample_is_the_same_from_hub_and_from_a_file_of_the_schema(name: str, hub: Path, tmp_path: Path) -> None:
    path = tmp_path / "copy.jsonl.gz"
    write_groups(path, reversed(load_questions(name, root=hub)))
    assert load_questions(path, n=3, seed=4) == load_questions(name, root=hub, n=3, seed=4)
    assert list(read_groups(path))[-1] == load_questions(name, root=hub)[0]


def test_a_sample_takes_of_each_subject(hub: Path) -> None:
    for seed in range(2):
        sample = load_questions("math:7", root=hub, seed=seed)
        assert len({group.provenance["subject"] for group in sample}) == 7
        assert load_questions("math", root=hub, seed=seed, n=3) == sample[:3]
    assert len({load_questions("mmlu", root=hub, seed=seed, n=1)[0].query.id for seed in range(8)}) > 2


def test_a_copy_that_is_absent_or_other_than_expected_is_named(hub: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"openai/gsm8k: no such folder; put a copy of the dataset repository openai"):
        load_questions("gsm8k", root=tmp_path)
    target = tmp_path / "openai" / "gsm8k"
    shutil.copytree(hub / "baber" / "piqa", target)
    with pytest.raises(DataError, match=r"the copy of openai/gsm8k cannot be read .*copy the repository again, with"):
        load_questions("gsm8k", root=tmp_path)
    card = (target / "README.md").read_text(encoding="utf-8")
    (target / "README.md").write_text(card.replace("default", "main"), encoding="utf-8")
    with pytest.raises(DataError, match="split test: column answer, question is missing; it has goal, sol1, sol2"):
        load_questions("gsm8k", root=tmp_path)


def test_a_row_with_an_impossible_answer_is_named(tmp_path: Path) -> None:
    datasets = pytest.importorskip("datasets")
    from hub_copy import PIQA

    folder = tmp_path / "baber" / "piqa"
    folder.mkdir(parents=True)
    datasets.Dataset.from_list([PIQA[0], {**PIQA[1], "label": 2}]).to_parquet(folder / "validation.parquet")
    with pytest.raises(DataError, match=r"baber/piqa, split test, row 1: not in the expected layout .*number 2.* of 2"):
        load_questions("piqa", root=tmp_path)


def test_without_the_extra_the_command_that_installs_it_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "datasets", None)
    with pytest.raises(MissingExtraError, match=r"loading GSM8K from the hub needs datasets.*memreward\[questions\]"):
        load_questions("gsm8k")


SCRIPT = """
import sys
from memreward.data import load_questions
from memreward.types import DataError
for name in sys.argv[1:]:
    try:
        print(*(group.query.id for group in load_questions(name)[:2]), load_questions(name)[0].provenance["source"])
    except DataError as error:
        print("DataError:", error)
"""


def loaded_elsewhere(home: Path, *names: str, **environment: str) -> list[str]:
    """What a process of its own, with an empty cache, loads from the hub."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("HF_")}
    command = [sys.executable, "-c", SCRIPT, *names]
    env = kept | {"HF_HOME": str(home), **environment}
    return subprocess.run(command, env=env, capture_output=True, text=True, timeout=120, check=True).stdout.splitlines()


@pytest.mark.slow
def test_a_hub_over_http_is_asked_for_the_fixed_commit_and_a_gated_set_says_what_to_do(
    hub: Path, tmp_path: Path
) -> None:
    from loopback_hub import serving

    with serving(hub, gated=frozenset({"Idavidrein/gpqa"})) as (address, asked):
        lines = loaded_elsewhere(tmp_path, "mmlu", "siqa", "gpqa", HF_ENDPOINT=address)
    commit = benchmarks()["mmlu"].revision
    assert lines[0] == f"mmlu-anatomy-0 mmlu-anatomy-1 cais/mmlu@{commit}:test"
    assert lines[1] == "social_i_qa-test-0 social_i_qa-test-1 lighteval/siqa@main:validation"
    assert lines[2].startswith("DataError: Idavidrein/gpqa is gated")
    assert (
        "accept its terms at https://huggingface.co/datasets/Idavidrein/gpqa, log in with `hf auth login`" in lines[2]
    )
    mmlu = [path for path in asked if "cais/mmlu" in path and "resolve" in path]
    assert mmlu
    assert all(f"/resolve/{commit}/" in path for path in mmlu)


@pytest.mark.slow
def test_a_hub_out_of_reach_says_what_to_do(tmp_path: Path) -> None:
    (line,) = loaded_elsewhere(tmp_path, "gsm8k", HF_HUB_OFFLINE="1")
    assert line.startswith("DataError: openai/gsm8k cannot be reached")
    assert "check the network and HF_HUB_OFFLINE, or copy the repository to DIR/openai/gsm8k" in line
