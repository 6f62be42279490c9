"""How large the house is: lines and settings of the wheel by room, and how deep a trainer's call goes.

    python benchmarks/house.py

prints the table that stands in CONTRIBUTING.md under "How large it is". A setting is a field of a configuration that
holds no other, or an option or argument that a command declares itself; an option that many commands have counts once.
"""

from __future__ import annotations

import ast
import inspect
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

PACKAGE = Path(__file__).resolve().parents[1] / "src" / "memreward"
SETTINGS = ("Config", "Settings", "Limits", "Reading")
"""How names of configurations end."""


def room_of(path: Path) -> str:
    """Return the first folder of a module, or its own name."""
    return path.relative_to(PACKAGE).with_suffix("").parts[0]


def lines() -> Counter[str]:
    """Return lines of Python by room, docstrings included."""
    found: Counter[str] = Counter()
    for path in PACKAGE.rglob("*.py"):
        found[room_of(path)] += len(path.read_text(encoding="utf-8").splitlines())
    return found


def kinds() -> Counter[str]:
    """Return lines of Python by kind: docstrings, imports, blank lines, and code."""
    found: Counter[str] = Counter()
    for path in PACKAGE.rglob("*.py"):
        text = path.read_text(encoding="utf-8")
        of = ["code" if line.strip() else "blank" for line in text.splitlines()]
        for node in ast.walk(ast.parse(text)):
            value = node.value if isinstance(node, ast.Expr) else None
            said = isinstance(value, ast.Constant) and isinstance(value.value, str)
            if said or isinstance(node, ast.Import | ast.ImportFrom):
                of[node.lineno - 1 : node.end_lineno] = ["docstrings" if said else "imports"] * (
                    (node.end_lineno or node.lineno) - node.lineno + 1
                )
        found.update(of)
    return found


def configurations() -> dict[str, list[str]]:
    """Return the settings by configuration; a field that holds a configuration is none."""
    fields: dict[str, list[tuple[str, str]]] = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            if isinstance(node, ast.ClassDef) and node.name.endswith(SETTINGS):
                made = [each for each in node.body if isinstance(each, ast.AnnAssign)]
                fields[f"{room_of(path)}.{node.name}"] = [
                    (ast.unparse(e.target), ast.unparse(e.annotation)) for e in made
                ]
    return {name: [field for field, kind in own if not kind.endswith(SETTINGS)] for name, own in fields.items()}


def options() -> set[str]:
    """Return the options and arguments that commands declare themselves, by name."""
    import typer

    from memreward.cli import app

    return set(_options_of(typer.main.get_command(app)))


def _options_of(command: Any) -> Iterator[str]:
    for below in getattr(command, "commands", {}).values():
        yield from _options_of(below)
    # What is made from a configuration is named after it, Config_field, and counts as its field.
    yield from (option.opts[0] for option in command.params if not option.name.split("_")[0].endswith(SETTINGS))


def frames() -> list[str]:
    """Return the functions between a trainer's call and the answer model, the first first."""
    from memreward.answers.model import AnswerModel
    from memreward.integrations.trl_reward import RewardFunction
    from memreward.memory import ExperienceMemory
    from memreward.reward.policy import PolicyReward
    from memreward.reward.valuers import Answers

    seen: list[str] = []

    class Watched(AnswerModel):
        def beliefs(self, *given: Any, **named: Any) -> Any:
            stack = [frame.function for frame in inspect.stack()]
            seen[:] = seen or stack[: stack.index("frames")][::-1]
            return super().beliefs(*given, **named)

    function = RewardFunction(PolicyReward(ExperienceMemory.in_memory(), Answers(Watched())))
    function(["1 + 1?"] * 2, ["It is 2.", "It is 3."], query_id=["q", "q"], query=["1 + 1?"] * 2, domain=["math"] * 2)
    return seen


def main() -> None:
    """Print the table."""
    found, made, own = lines(), configurations(), options()
    print("| | |\n|---|---|")
    print(f"| lines of the wheel | {sum(found.values()):,} |")
    print("".join(f"| of these {kind} | {count:,} |\n" for kind, count in kinds().most_common()), end="")
    print(f"| of these `answers/`, the idea | {found['answers']:,} |")
    print(f"| settings | {sum(map(len, made.values())) + len(own)} |")
    print(f"| of these fields of configurations | {sum(map(len, made.values()))} |")
    print(f"| functions from a trainer's call to the answer model | {len(frames())} |\n")
    print("| room | lines |\n|---|---|")
    print("\n".join(f"| `{room}` | {count:,} |" for room, count in found.most_common()))
    print("\n| configuration | settings |\n|---|---|")
    print("\n".join(f"| `{name}` | {', '.join(fields)} |" for name, fields in made.items() if fields))


if __name__ == "__main__":
    main()
