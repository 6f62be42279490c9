"""Holds that documentation says what the code does: commands, options, configurations, the README's examples."""

from __future__ import annotations

import ast
import importlib.util
import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer

import memreward
from memreward.cli import app
from memreward.cli.errors import Exit
from rows import each_row

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "src" / "memreward"
README = (ROOT / "README.md").read_text(encoding="utf-8")
CLI_PAGE = (ROOT / "docs" / "cli.md").read_text(encoding="utf-8")

GROUP: Any = typer.main.get_command(app)


def commands_of(group: Any, above: str = "") -> dict[str, Any]:
    """All commands by what is typed; those of a group stand behind its name."""
    found = {}
    for name, command in group.commands.items():
        inner = getattr(command, "commands", None)
        found |= {f"{above}{name}": command} if inner is None else commands_of(command, f"{above}{name} ")
    return found


COMMANDS = commands_of(GROUP)
ARMS = ("memreward", "labelled", "majority+labels", "oracle")
"""Of training, in the order in which the README names them."""


def shell_lines(text: str) -> list[str]:
    """Lines of a document that call memreward, without comments."""
    found = re.findall(r"^ {2,}(memreward [^\n]*)$", text, re.MULTILINE)
    return [line.split("  #")[0] for line in found if "COMMAND" not in line and "..." not in line]


def parse(line: str) -> None:
    """Parse a call of memreward as the shell would, and run nothing."""
    words = shlex.split(line)[1:]
    length = 2 if " ".join(words[:2]) in COMMANDS else 1
    name = " ".join(words[:length])
    COMMANDS[name].make_context(name, words[length:])


@each_row("name", COMMANDS)
def test_every_command_has_help_with_an_example_that_parses(name: str) -> None:
    examples = [line for line in shell_lines(COMMANDS[name].help) if line.startswith(f"memreward {name} ")]
    assert examples, f"memreward {name} --help shows no example"
    for example in examples:
        parse(example)


@each_row("name", COMMANDS)
def test_every_option_has_help(name: str) -> None:
    assert [option.name for option in COMMANDS[name].params if not (option.help or "").strip()] == []


@each_row("name", COMMANDS)
def test_every_command_is_documented(name: str) -> None:
    assert f"| `memreward {name}` |" in CLI_PAGE
    assert f"## memreward {name}\n" in CLI_PAGE


@each_row("name", COMMANDS)
def test_every_command_prints_json(name: str) -> None:
    assert "--json" in {flag for option in COMMANDS[name].params for flag in option.opts}


def test_documented_calls_parse() -> None:
    for line in [*shell_lines(README), *shell_lines(CLI_PAGE)]:
        parse(line)


def test_a_wrong_call_does_not_parse() -> None:
    with pytest.raises(Exception, match="No such option"):
        parse("memreward ledger --memory runs/memory --nonsense")


@each_row("code", list(Exit))
def test_exit_codes_are_documented(code: Exit) -> None:
    assert f"\n| {int(code)} | " in CLI_PAGE


def test_options_named_in_the_documents_exist() -> None:
    known = {
        flag for command in [GROUP, *COMMANDS.values()] for p in command.params for flag in [*p.opts, *p.secondary_opts]
    }
    known |= {"--help", "--strict"}
    for text in (README, CLI_PAGE):
        assert set(re.findall(r"(?<![\w-])--[a-z][a-z0-9-]+", text)) <= known


def python_blocks() -> list[str]:
    return re.findall(r"```python\n(.*?)```", README, re.DOTALL)


def test_the_readme_is_one_screen_of_what_to_do_and_then_links() -> None:
    assert "```python" in "\n".join(README.splitlines()[:30])
    assert len(README.splitlines()) <= 85


@pytest.mark.parametrize("block", python_blocks(), ids=lambda block: block.splitlines()[0])
def test_readme_python_compiles_and_names_what_exists(block: str) -> None:
    tree = ast.parse(block)
    imported = [
        alias.name
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and node.module == "memreward"
        for alias in node.names
    ]
    assert set(imported) <= set(memreward.__all__)
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id in imported:
            assert hasattr(getattr(memreward, node.value.id), node.attr), ast.unparse(node)


def test_make_targets_in_the_documents_exist() -> None:
    rules = re.findall(r"^([a-z -]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
    targets = {target for rule in rules for target in rule.split()}
    for page in ("README.md", "CONTRIBUTING.md"):
        named = re.findall(r"(?:^ {4}|`)make ([a-z-]+)", (ROOT / page).read_text(encoding="utf-8"), re.MULTILINE)
        assert named
        assert set(named) <= targets


def links() -> Iterator[tuple[Path, str]]:
    for page in [
        *ROOT.glob("*.md"),
        *(ROOT / "docs").rglob("*.md"),
        *(ROOT / "examples").rglob("*.md"),
        *(ROOT / "lab").glob("*.md"),
    ]:
        for target in re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", page.read_text(encoding="utf-8")):
            if "://" not in target:
                yield page, target


def test_relative_links_lead_somewhere() -> None:
    found = list(links())
    assert found
    assert [(page.name, target) for page, target in found if not (page.parent / target).exists()] == []


def test_tests_that_hold_what_is_promised_exist() -> None:
    page = (ROOT / "docs" / "security.md").read_text(encoding="utf-8")
    paths = set(re.findall(r"tests/[\w/]+(?:\.\w+)?", page))
    assert [path for path in paths if not (ROOT / path).exists()] == []
    code = "\n".join(path.read_text(encoding="utf-8") for path in (ROOT / "tests").rglob("test_*.py"))
    named = set(re.findall(r"\btest_\w+(?=`)", page))
    assert len(named) > 40
    assert [name for name in named if f"def {name}(" not in code] == []


def configurations() -> Iterator[tuple[str, ast.ClassDef]]:
    for path in sorted([*PACKAGE.rglob("*.py"), *(ROOT / "lab").rglob("*.py")]):
        text = path.read_text(encoding="utf-8")
        for node in ast.walk(ast.parse(text)) if "Config" in text else ():
            if isinstance(node, ast.ClassDef) and node.name.endswith("Config") and node.decorator_list:
                yield node.name, node


def test_every_field_of_a_configuration_is_documented() -> None:
    """What it has of another may be said again, with what it is here."""
    found = dict(configurations())
    own = {
        name: {
            item.target.id
            for item in node.body
            if isinstance(item, ast.AnnAssign) and isinstance(item.target, ast.Name)
        }
        for name, node in found.items()
    }
    for name, node in found.items():
        inherited = set[str]().union(*(own.get(ast.unparse(base), ()) for base in node.bases))
        attributes = (ast.get_docstring(node) or "").partition("Attributes:\n")[2].split("\nRaises:")[0]
        documented = set(re.findall(r"^    (\w+): \S", attributes, re.MULTILINE))
        assert own[name]
        assert own[name] <= documented <= own[name] | inherited, name


def test_the_readme_says_what_the_committed_results_say() -> None:
    """After a new `make prediction`: make readme."""
    spec = importlib.util.spec_from_file_location("readme", ROOT / "benchmarks" / "readme.py")
    assert spec is not None
    assert spec.loader is not None
    made = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(made)
    results = made.SUMMARY.read_text(encoding="utf-8")
    assert made.readme(README, results) == README
    assert made.PICTURE.read_text(encoding="utf-8") == made.picture(results)
    assert len(made.domains(results)) == 3
    # The same figures are found in other results, and not only those of today.
    shown = re.search(r"\| mathematics \| [\d.]+ \| (\S+ \S+ \S+) \|", README)
    assert shown is not None
    moved = results.replace(shown[1], "+0.777 [+0.700, +0.800]")
    assert "+0.777 [+0.700, +0.800]" in made.readme(README, moved)


def test_the_suites_page_shows_the_board_that_was_printed() -> None:
    results = ROOT / "benchmarks" / "results"
    page = (results / "suite.md").read_text(encoding="utf-8")
    boards = re.findall(r"^```text\n.*?^```$|^\|  \| predictor.*?^$", page, re.MULTILINE | re.DOTALL)
    printed = [path.read_text(encoding="utf-8") for path in sorted((results / "suite").glob("*.[mt]*"))]
    assert len(boards) == 2
    assert all(any(board.strip("`").removeprefix("text").strip() in text for text in printed) for board in boards)


def test_the_readme_says_of_training_what_its_results_say() -> None:
    table = (ROOT / "benchmarks" / "results" / "training" / "random.md").read_text(encoding="utf-8")
    arms = {name: re.search(rf"^\| {re.escape(name)} \|[^|]*\| \W*0(\.\d+) ", table, re.MULTILINE) for name in ARMS}
    said = [README.index(match[1]) for match in arms.values() if match]
    assert len(said) == len(ARMS)
    assert said == sorted(said)
    closed = re.search(r"^\| memreward \|.*?\| 0(\.\d+) \[0(\.\d+), 0?(\d?\.\d+)\] \|", table, re.MULTILINE)
    assert closed is not None
    assert f"closes {closed[1]} [{closed[2]}, {closed[3]}] of the gap" in README
    chosen = (ROOT / "benchmarks" / "results" / "training" / "chosen_ten.md").read_text(encoding="utf-8")
    found = re.search(
        r"^\| memreward \|[^|]*\| \W*0(\.\d+) [^|]*\| 0(\.\d+) \[0(\.\d+), 0?(\d?\.\d+)\] \|", chosen, re.MULTILINE
    )
    assert found is not None
    assert f"chosen: {found[1]}, which closes {found[2]} [{found[3]}, {found[4]}]" in " ".join(README.split())
    five = (ROOT / "benchmarks" / "results" / "training" / "chosen_five.md").read_text(encoding="utf-8")
    ours, voted = re.findall(r"^\| (?:memreward|majority\+labels) \|[^|]*\| \W*0(\.\d+) \[", five, re.MULTILINE)[:2]
    assert f"{ours}** (six seeds; the majority beside them {voted})" in " ".join(README.split())
    real = (ROOT / "benchmarks" / "results" / "real-llm.md").read_text(encoding="utf-8")
    ends = re.findall(r"^\| \w+ \|[^|]*\| 60 \| 0(\.\d+) ", real, re.MULTILINE)
    assert "{}, against {} with a fifth of the labels alone and {} with all".format(*ends) in " ".join(README.split())
    few = (ROOT / "benchmarks" / "results" / "training" / "five.md").read_text(encoding="utf-8")
    found = re.search(r"^\| memreward \|[^|]*\| \W*0(\.\d+) ", few, re.MULTILINE)
    assert found is not None
    assert f"With five labelled questions drawn at random it is {found[1]}" in " ".join(README.split())


def test_messages_of_the_page_of_troubles_exist() -> None:
    sources = re.sub(r'"\s*\n\s*f?"', "", "".join(p.read_text(encoding="utf-8") for p in PACKAGE.rglob("*.py")))
    page = (ROOT / "docs" / "troubleshooting.md").read_text(encoding="utf-8")
    messages = re.findall(r"^\| `([^`]+)` \|", page, re.MULTILINE)
    assert len(messages) > 8
    assert [message for message in messages if message not in sources] == []


def test_the_version_is_the_same_everywhere() -> None:
    version = re.search(r'^version = "(.+)"$', (ROOT / "pyproject.toml").read_text(encoding="utf-8"), re.MULTILINE)
    assert version is not None
    assert version.group(1) == memreward.__version__
    assert f"version: {memreward.__version__}\n" in (ROOT / "CITATION.cff").read_text(encoding="utf-8")
    newest = re.search(r"^## \[(.+)\]", (ROOT / "CHANGELOG.md").read_text(encoding="utf-8"), re.MULTILINE)
    assert newest is not None
    assert newest[1] in (memreward.__version__, "Unreleased")
