"""Holds the layers of the library, its lazy imports, and what no module may do."""

from __future__ import annotations

import ast
import functools
import os
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from functools import cache
from importlib import metadata
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "src" / "memreward"

LEVELS = {
    "types": 0,
    "temporary": 0,
    "unicode": 0,
    "threads": 0,
    "processes": 0,
    "lazy": 0,
    "arrays": 1,
    "plugins": 1,
    "sqlite": 1,
    "sandbox": 1,
    "domains": 2,
    "data": 3,
    "features": 3,
    "memory": 4,
    "answers": 5,
    "evaluation": 6,
    "network": 7,
    "reward": 7,
    "policy": 7,
    "integrations": 8,
    "service": 9,
    "training": 9,
    "label": 10,
    "cli": 11,
    "__main__": 12,
}
HEAVY = {
    "torch",
    "torch_geometric",
    "transformers",
    "sentence_transformers",
    "pyarrow",
    "sklearn",
    "matplotlib",
    "scipy",
    "safetensors",
}
NETWORKS = {"torch", "torch_geometric", "sentence_transformers", "transformers", "trl"}
ROOMS_OF_NETWORKS = {"network", "policy", "training", "integrations"}
"""Nothing else in the library needs a network, not even late."""
FORBIDDEN_IMPORTS = {"pickle", "cPickle", "dill", "cloudpickle", "joblib", "marshal", "shelve"}
RUNS_FOREIGN_CODE = PACKAGE / "sandbox" / "inside" / "foreign.py"
"""The one module that may call exec: the sandbox's children import it, behind its walls, and nothing else does."""
FORBIDDEN_CALLS = {"eval", "exec", "torch.load", "pandas.read_pickle", "os.system"}
SCREEN = 60
"""Lines of a function's body, docstring apart, at most."""
TEXT_SUFFIXES = {".py", ".md", ".toml", ".yaml", ".yml", ".cff", ".sh", ".json", ".txt", ".html", ".svg", ""}
UNTRACKED = {
    ".git",
    ".venv",
    "runs",
    "build",
    "dist",
    "__pycache__",
    ".cache",
    ".mypy_cache",
    ".ruff_cache",
    ".pytest_cache",
    ".hypothesis",
}

MODULES = sorted(PACKAGE.rglob("*.py"))
LABORATORY = sorted((ROOT / "lab").rglob("*.py"))


parsed = cache(ast.parse)


def part_of(path: Path) -> str:
    """The part of the library that a file belongs to: its first folder, or its own name."""
    return path.relative_to(PACKAGE).with_suffix("").parts[0]


def imported_modules(tree: ast.AST, package: str) -> Iterator[tuple[int, str]]:
    """Yield (line, absolute name) of everything a module imports, at any depth."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                above = package.split(".")[: len(package.split(".")) - node.level + 1]
                base = ".".join([*above, base]).rstrip(".")
            if base == "memreward":
                yield from ((node.lineno, f"memreward.{alias.name}") for alias in node.names)
            else:
                yield node.lineno, base
        elif isinstance(node, ast.Attribute) and dotted_name(node.value) == "memreward":
            yield node.lineno, f"memreward.{node.attr}"


def package_of(path: Path) -> str:
    return ".".join(["memreward", *path.relative_to(PACKAGE).parent.parts])


def breaches(path: Path, source: str) -> list[str]:
    """What a module at `path` with this source imports from its own level or from above."""
    own = part_of(path)
    found = []
    for line, name in imported_modules(parsed(source), package_of(path)):
        package, _, inside = name.partition(".")
        if package == "lab":
            found.append(f"line {line}: {name} is of the laboratory, which no wheel contains")
        part = inside.split(".")[0]
        if package != "memreward" or part in (own, "") or part.startswith("__"):
            continue
        if part not in LEVELS:
            found.append(f"line {line}: {name} is a public name of the package; import it from its home instead")
        elif LEVELS[part] >= LEVELS[own]:
            found.append(f"line {line}: {own} ({LEVELS[own]}) imports {name} ({LEVELS[part]})")
    return found


def dotted_name(node: ast.expr) -> str:
    if isinstance(node, ast.Attribute):
        return f"{dotted_name(node.value)}.{node.attr}"
    return node.id if isinstance(node, ast.Name) else ""


def forbidden(source: str) -> list[str]:
    """Imports and calls in a source that may load or run foreign data as code."""
    tree = parsed(source)
    found = [
        f"line {line}: import of {name}"
        for line, name in imported_modules(tree, "memreward")
        if name.split(".")[0] in FORBIDDEN_IMPORTS
    ]
    found += [
        f"line {node.lineno}: call of {dotted_name(node.func)}"
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and dotted_name(node.func) in FORBIDDEN_CALLS
    ]
    return found


def long_functions(source: str) -> list[str]:
    """Functions whose body has more than `SCREEN` lines, docstring apart; a command's options are its signature."""
    found = []
    for node in ast.walk(parsed(source)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            first = node.body[0]
            told = isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant)
            before = (first.end_lineno or 0) if told else first.lineno - 1
            lines = (node.end_lineno or 0) - before
            found += [f"{node.name}: {lines} lines"] if lines > SCREEN else []
    return found


def test_functions_fit_a_screen() -> None:
    found = {str(path.relative_to(PACKAGE)): long_functions(path.read_text(encoding="utf-8")) for path in MODULES}
    assert {path: long for path, long in found.items() if long} == {}


def test_a_long_function_is_seen_and_a_long_docstring_is_none() -> None:
    lines = "\n".join(f"    x = {number}" for number in range(SCREEN + 1))
    assert long_functions(f"def f():\n{lines}") == [f"f: {SCREEN + 1} lines"]
    assert long_functions('def f():\n    """' + "\n" * SCREEN + '    """\n    return 1') == []


def test_every_part_has_a_level() -> None:
    parts = {part_of(path) for path in MODULES} - {"__init__"}
    assert parts <= LEVELS.keys(), f"give these a level: {sorted(parts - LEVELS.keys())}"


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_come_from_lower_levels(path: Path) -> None:
    if path == PACKAGE / "__init__.py":
        return
    assert breaches(path, path.read_text(encoding="utf-8")) == []


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_networks_are_loaded_in_their_own_rooms_only(path: Path) -> None:
    imported = {name.split(".")[0] for _, name in imported_modules(parsed(path.read_text()), package_of(path))}
    assert part_of(path) in ROOMS_OF_NETWORKS or imported.isdisjoint(NETWORKS)


@pytest.mark.parametrize(
    ("home", "source"),
    [
        ("network/graph.py", "from memreward.cli import app"),
        ("answers/model.py", "def late():\n    import memreward.evaluation.report"),
        ("network/graph.py", "from memreward import RewardPredictor"),
        ("network/graph.py", "import memreward\n\nmemreward.evaluate"),
        ("answers/model.py", "from ..network import graph"),
        ("cli/app.py", "from lab.arms import ARMS"),
        ("features/cache.py", "from memreward.data import read_groups"),
    ],
)
def test_a_breach_is_seen(home: str, source: str) -> None:
    assert len(breaches(PACKAGE / home, source)) == 1


@pytest.mark.parametrize(
    "source",
    [
        "from memreward.types import Query",
        "from .schema import X",
        "import numpy",
        "import memreward\n\nmemreward.__file__",
    ],
)
def test_what_is_allowed_is_no_breach(source: str) -> None:
    assert breaches(PACKAGE / "network" / "graph.py", source) == []


@pytest.mark.parametrize("path", [*MODULES, *LABORATORY], ids=lambda path: str(path.relative_to(ROOT)))
def test_foreign_data_is_never_run_or_unpickled(path: Path) -> None:
    found = forbidden(path.read_text(encoding="utf-8"))
    assert [breach for breach in found if path != RUNS_FOREIGN_CODE or not breach.endswith("call of exec")] == []


def test_what_runs_foreign_code_is_imported_inside_the_sandbox_only() -> None:
    def imports_it(path: Path) -> bool:
        tree = parsed(path.read_text(encoding="utf-8"))
        return any("foreign" in name.split(".") for _, name in imported_modules(tree, package_of(path)))

    inside = RUNS_FOREIGN_CODE.parent
    assert {path.relative_to(inside).name for path in MODULES if imports_it(path)} == {
        "program.py",
        "solution.py",
        "trial.py",
    }
    outside = [path for path in MODULES if path.parent != inside]
    reaching = re.compile(r"sandbox\.inside(?:\.|\s+import\s.*)\b(?:program|solution|trial|keeper|driver|foreign)\b")
    assert [path for path in outside if reaching.search(path.read_text(encoding="utf-8"))] == []


@pytest.mark.parametrize(
    "source", ["import pickle", "from pickle import loads", "torch.load(f)", "eval(text)", "def f():\n    exec(code)"]
)
def test_forbidden_code_is_seen(source: str) -> None:
    assert len(forbidden(source)) == 1


def test_model_eval_is_no_call_of_eval() -> None:
    assert forbidden("model.eval()") == []


def loaded_after(*arguments: str) -> set[str]:
    """Top-level packages that a fresh interpreter has loaded after running these arguments."""
    report = subprocess.run(
        [sys.executable, "-X", "importtime", *arguments], capture_output=True, text=True, timeout=60, check=True
    ).stderr
    return {match.group(1) for match in re.finditer(r"\|\s+([A-Za-z_0-9]+)(?:\.[\w.]+)?$", report, re.MULTILINE)}


HELPS = """
import contextlib
from memreward.cli import app

for words in ("warmup", "evaluate", "collect", "verify", "prior show"):
    with contextlib.suppress(SystemExit):
        app([*words.split(), "--help"])
"""


@pytest.mark.parametrize(
    "arguments",
    [
        pytest.param(("-c", "import memreward; dir(memreward)"), id="import"),
        pytest.param(("-m", "memreward", "--help"), id="help"),
        pytest.param(("-c", HELPS), id="help of commands", marks=pytest.mark.slow),
    ],
)
def test_nothing_heavy_is_loaded_before_it_is_needed(arguments: tuple[str, ...]) -> None:
    loaded = loaded_after(*arguments)
    assert "memreward" in loaded
    assert loaded.isdisjoint(HEAVY), f"loaded too early: {sorted(loaded & HEAVY)}"


def test_public_names_load_from_their_homes() -> None:
    import memreward

    assert len(memreward.__all__) <= 16
    assert set(memreward.__all__) == set(memreward._HOMES)
    for name in memreward.__all__:
        assert getattr(memreward, name).__name__ == name
    with pytest.raises(AttributeError, match="offers"):
        memreward.nothing  # noqa: B018


def project_texts() -> Iterator[Path]:
    for folder, folders, files in os.walk(ROOT):
        folders[:] = [name for name in folders if name not in UNTRACKED]
        # A linked worktree has a file .git, which says where its repository lies.
        yield from (Path(folder, name) for name in {*files} - UNTRACKED if Path(name).suffix in TEXT_SUFFIXES)


def test_no_text_names_a_home_folder() -> None:
    home = re.compile(r"(?<![\w./])/(?:root|home|Users|work)/\w")
    hits = []
    for path in project_texts():
        text = path.read_text(encoding="utf-8", errors="replace")
        hits += [f"{path.relative_to(ROOT)}: {match.group()}" for match in home.finditer(text)]
    assert hits == []


@functools.cache
def packages_of_extras() -> dict[str, set[str]]:
    """Packages that each extra of pyproject.toml brings, as they are imported, with those of the extras it names."""
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["optional-dependencies"]

    def brought(extra: str) -> set[str]:
        found = set()
        for requirement in extras[extra]:
            name, _, named = requirement.partition("[")
            if name == "memreward":
                found |= set().union(*map(brought, named.partition("]")[0].split(",")))
            found.add(re.split(r"[\[<>=~;! ]", name)[0].lower().replace("-", "_"))
        return found

    return {extra: brought(extra) for extra in extras}


def brings(extra: str, package: str) -> bool:
    """Whether an extra installs a package, itself or with one of its own."""
    wanted, direct = package.lower().replace("-", "_"), packages_of_extras()[extra]
    further = [line for name in direct for line in _requirements(name)]
    return wanted in direct or any(re.match(rf"{wanted}\b", line.lower().replace("-", "_")) for line in further)


def _requirements(package: str) -> list[str]:
    try:
        return metadata.requires(package) or []
    except metadata.PackageNotFoundError:
        return []


def test_a_missing_extra_is_one_that_brings_the_package() -> None:
    for path in MODULES:
        if "MissingExtraError(" not in (source := path.read_text(encoding="utf-8")):
            continue
        calls = [node for node in ast.walk(parsed(source)) if isinstance(node, ast.Call)]
        for call in calls:
            if dotted_name(call.func) == "MissingExtraError" and isinstance(call.args[1], ast.Constant):
                package = call.args[0]
                if isinstance(package, ast.BoolOp):  # error.name or "trl"
                    package = package.values[-1]
                where = f"{path.relative_to(PACKAGE)}, line {call.lineno}"
                assert isinstance(package, ast.Constant), where
                assert brings(str(call.args[1].value), str(package.value)), where


def test_the_command_line_names_an_extra_that_brings_the_package() -> None:
    from memreward.cli.errors import _EXTRAS

    for package, extra in _EXTRAS.items():
        assert brings(extra, package.replace("sklearn", "scikit-learn")), package
