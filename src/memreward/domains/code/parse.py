"""Python solutions: cut out of completions, and brought to a normal form by their syntax tree. Nothing is run."""

import ast
import builtins
import keyword
import re
import textwrap
import threading
import warnings
from functools import lru_cache
from itertools import islice, zip_longest
from typing import Literal, overload

from memreward.types import Rollout

_FENCE = re.compile(r"^[ \t]{0,8}```[ \t]*([\w+#-]*)[^\n]*$", re.MULTILINE)
_TOP_LEVEL_CODE = re.compile(
    r"^(?:from\s+\S+\s+import\b|import\s|(?:async\s+)?def\s+\w+\s*\(|class\s+\w+|@\w)", re.MULTILINE
)
# Where a program may begin that defines nothing first.
_PROGRAM = re.compile(
    rf"{_TOP_LEVEL_CODE.pattern}|^(?:\w[\w, ]*=[^=\n]|print\(|(?:for|while|if|with)\b[^\n]*:[ \t]*$|try:)", re.MULTILINE
)
_READS, _READS_OR_WRITES = re.compile(r"\binput\(|\bstdin\b"), re.compile(r"\b(?:input|print)\(|\bstd(?:in|out)\b")
# Names of typing in the head of a function that a question shows: whoever judges such solutions has imported them.
_TYPING = re.compile(
    r"\b(Any|Callable|Deque|Dict|FrozenSet|Generator|Iterable|Iterator|List|Mapping|Optional|Sequence|Set|Tuple|Union)\b"
)
_HEAD = re.compile(r"^[ \t]*(?:async[ \t]+)?def[ \t][^\n]*", re.MULTILINE)
_LEETCODE = (
    "import bisect, collections, functools, heapq, itertools, math, random, re, string\n"
    "from bisect import *\nfrom collections import *\nfrom functools import *\nfrom heapq import *\n"
    "from itertools import *\nfrom math import ceil, comb, factorial, floor, gcd, inf, isqrt, lcm, log, prod, sqrt\n"
    "from typing import *"
)
"""What LeetCode's judge imports before a `class Solution`."""
_INDENTED_CODE = re.compile(r"^[ \t]+(?:from\s+\S+\s+import\b|import\s|(?:async\s+)?def\s+\w+\s*\(|@\w)", re.MULTILINE)
# A body whose first line has lost its indentation.
_STRIPPED = re.compile(
    r"\s*(?:(?:return|yield)\b|[^\n]*\n+(?=[ \t]+\S)[\s\S]*?^[ \t]+(?:return|yield)\b)", re.MULTILINE
)
_TOP_LEVEL_LINE = re.compile(r"^\S", re.MULTILINE)
_ASSERTION = re.compile(r"^[ \t]*assert\b[^\n]*\(", re.MULTILINE)
_DEFINED = re.compile(r"(?:^|`)def\s+(\w+)\s*\(", re.MULTILINE)
_NAMED = re.compile(
    r"\bfunction[ \t]+(?:(?:called|named)[ \t]+(?:[`'\"]|(?=\w*_\w|\w+\())|[`'\"](?=\w+\())(\w+)", re.IGNORECASE
)
_CALLED = re.compile(r"(?<![\w.])([^\W\d]\w*)[ \t]*\(")
_NOT_CALLED = frozenset(keyword.kwlist)
_LONGEST_PARSED = 30_000
_CUTS_TRIED = 24
_STARTS_TRIED = 8
_PYTHON = frozenset({"python", "py", "python3", "", "code"})
_ONE_AT_A_TIME = threading.RLock()

Function = ast.FunctionDef | ast.AsyncFunctionDef


@overload
def syntax_tree(code: str) -> ast.Module: ...


@overload
def syntax_tree(code: str, mode: Literal["eval"]) -> ast.Expression: ...


def syntax_tree(code: str, mode: str = "exec") -> ast.AST:
    """Return the syntax tree of a program, or with mode "eval" of an expression, from any thread, without warnings.

    CPython 3.11 and 3.12 count the depth of trees in one place for all threads, and a collection of garbage may let
    another one in: so one is built at a time. Raises SyntaxError where it is no Python, ValueError, RecursionError or
    MemoryError where it has null bytes, or is too deep.
    """
    with _ONE_AT_A_TIME, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return ast.parse(code, mode=mode)


def parse_tree(code: str) -> ast.Module | None:
    """Return the syntax tree of `code`, or None where Python would refuse it (too long or too deep included)."""
    if len(code) > _LONGEST_PARSED:
        return None
    try:
        return syntax_tree(code)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None


def parses(code: str) -> bool:
    return bool(code.strip()) and parse_tree(code) is not None


def defines(code: str, name: str) -> bool:
    """Say whether `code` parses and has a top-level function, class or assignment called `name`."""
    tree = parse_tree(code)
    return tree is not None and any(name in _bound_by(node) for node in tree.body)


@lru_cache(maxsize=1024)
def entry_point(query_text: str) -> str | None:
    """Return the name of the function that a code prompt asks for.

    The last top-level function without a body (a docstring or `pass` is none); else the last top-level function;
    else the function that the prompt's first assertion calls, one of Python's own only where it calls no other; else
    the one that it names in words (a function named `f`); else None.
    """
    functions = functions_of(prompt_tree(query_text))
    stubs = [function for function in functions if not statements(function)]
    if functions:
        return (stubs or functions)[-1].name
    definitions = _DEFINED.findall(query_text)
    if definitions:
        return str(definitions[-1])
    asserted = _ASSERTION.search(query_text)
    names: list[str] = _CALLED.findall(asserted[0]) if asserted else []
    called = [name for name in names if name not in _NOT_CALLED]
    if called:
        return next((name for name in called if not hasattr(builtins, name)), called[0])
    named = _NAMED.search(query_text)
    return str(named[1]) if named else None


def find_code(text: str, prompt: str) -> tuple[str | None, str, str]:
    """Return (solution, form, text around it); forms are "fence", "code" (definitions), "body" (continues), "none"."""
    name = entry_point(prompt)
    fences = list(_FENCE.finditer(text))
    if len(fences) % 2 and not fences[0][1]:  # the prompt has opened the block that the first fence closes
        code, form, around = find_code(text[: fences[0].start()], prompt)
        if code is not None and (name is None or defines_body(code, name)):
            return code, form, f"{around}\n{text[fences[0].end() :]}".strip()
    fenced = _fenced(text, name)
    if fenced is not None:
        code, around = fenced
        return _completed(code, name, prompt), "fence", around
    before = text[: fences[0].start()] if fences else text
    body = _body(before, name, prompt)
    indented = _indented(before, name) if body is None or _only_nests(body, name) else None
    if indented is not None:
        return indented, "code", ""
    if body is not None:
        return body, "body", ""
    code, start = _bare(text, name)
    if code is None:
        return None, "none", ""
    return code.strip("\n"), "code", (text[:start] + text[start + len(code) :]).strip()


def _bare(text: str, name: str | None) -> tuple[str | None, int]:
    """The program that stands in a text without a fence, and where it begins."""
    for begin in islice(_PROGRAM.finditer(text), _STARTS_TRIED):
        if name is not None and not re.search(rf"\b{re.escape(name)}\b", text[begin.start() :]):
            break
        code = _cut_trailing(text[begin.start() :])
        if name is None and _only_imports(code):  # a program that was cut off in its first function
            code = text[begin.start() :]
        definitions = _TOP_LEVEL_CODE.match(code) is not None
        runs = definitions or (_READS_OR_WRITES.search(code) is not None and parses(code))
        if (runs if name is None else defines(code, name)) or (definitions and not parses(code)):
            return code, begin.start()
    return None, 0


def _only_imports(code: str) -> bool:
    tree = parse_tree(code)
    return tree is not None and all(isinstance(node, ast.Import | ast.ImportFrom) for node in tree.body)


def prompt_tree(prompt: str) -> ast.Module | None:
    """Return the syntax tree of a code prompt, which may end with the head of a function; None where it is no code."""
    code = prompt_code(prompt)
    return parse_tree(code) or parse_tree(code.rstrip() + "\n    pass\n")


@lru_cache(maxsize=1024)
def prompt_code(prompt: str) -> str:
    """Return the code of a prompt that says in words what to do with it, or all of it."""
    if parse_tree(prompt) or parse_tree(prompt.rstrip() + "\n    pass\n"):
        return prompt
    start = _TOP_LEVEL_CODE.search(prompt)
    if start is None:
        return prompt
    fence = _FENCE.search(prompt, start.start())
    code = prompt[start.start() : len(prompt) if fence is None else fence.start()]
    if parses(code.rstrip() + "\n    pass\n"):  # it ends with the head of a function
        return code
    code = _cut_trailing(code)
    return code if parses(code) else prompt


def functions_of(tree: ast.Module | None, name: str | None = None) -> list[Function]:
    """Return the top-level functions of a tree, of a name where one is given; none of no tree."""
    nodes = [] if tree is None else tree.body
    return [node for node in nodes if isinstance(node, Function) and name in (None, node.name)]


def statements(function: Function) -> list[ast.stmt]:
    """Return what a function does: its body without `pass` and docstring."""
    return [s for s in function.body if not isinstance(s, ast.Pass) and not _is_constant(s)]


def defines_body(code: str, name: str) -> bool:
    functions = functions_of(parse_tree(code), name)
    return bool(functions and statements(functions[-1]))


def solution_source(rollout: Rollout) -> str | None:
    """Return the program of a code rollout, the question's imports and helpers before it, or None."""
    prompt = rollout.query.text
    name = entry_point(prompt)
    answer = rollout.answer
    if answer is None:
        joined = (prompt + rollout.text,) if name and _leaves_open(prompt, name) else ()
        answer = next((code for code in (*joined, rollout.text) if name and defines_body(code, name)), None)
    return None if answer is None else _with_given(answer, prompt)


@lru_cache(maxsize=1024)
def given_definitions(prompt: str) -> str:
    """Return what a code prompt defines beside the function that it asks for: imports, helpers, constants."""
    name, tree = entry_point(prompt), prompt_tree(prompt)
    if tree is None or name is None:
        return ""
    kept = [
        node
        for node in tree.body
        if isinstance(node, ast.Import | ast.ImportFrom | ast.ClassDef | ast.Assign | ast.AnnAssign)
        or (isinstance(node, Function) and node.name != name)
    ]
    return "\n".join(ast.unparse(node) for node in kept)


def _with_given(code: str, prompt: str) -> str:
    if "from __future__" in code or not parses(code):
        return code
    defined = "" if code.startswith(prompt_code(prompt).rstrip()) else given_definitions(prompt)
    return "\n\n".join(part for part in (_presumed(prompt), defined, code) if part)


def _presumed(prompt: str) -> str:
    """The imports that a question presumes without a word: LeetCode's, or of the types in the head of its function."""
    if re.search(r"^class Solution\b", prompt, re.MULTILINE):
        return _LEETCODE
    named = [] if "typing" in prompt else _TYPING.findall(" ".join(_HEAD.findall(prompt)))
    return f"from typing import {', '.join(sorted(set(named)))}" if named else ""


def _leaves_open(prompt: str, name: str) -> bool:
    """Whether a prompt's function is there for a reply to go on with: it does not return already."""
    functions = functions_of(prompt_tree(prompt), name)
    return not functions or not _returns(functions[-1].body)


def _returns(body: list[ast.stmt]) -> bool:
    last = body[-1]
    if isinstance(last, ast.If):
        return bool(last.orelse) and _returns(last.body) and _returns(last.orelse)
    return isinstance(last, ast.Return | ast.Raise)


def _is_constant(statement: ast.stmt) -> bool:
    return isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant)


def _bound_by(node: ast.stmt) -> set[str]:
    if isinstance(node, Function | ast.ClassDef):
        return {node.name}
    if isinstance(node, ast.Assign):
        return {target.id for target in node.targets if isinstance(target, ast.Name)}
    return set()


def _fenced(text: str, name: str | None) -> tuple[str, str] | None:
    """The fenced block to take, and the text around it; an unclosed fence reaches to the end."""
    fences = list(_FENCE.finditer(text))
    blocks: list[tuple[str, int, int, bool]] = []
    for opening, closing in zip_longest(fences[::2], fences[1::2]):
        last, end = (len(text), len(text)) if closing is None else closing.span()
        code = text[opening.end() + 1 : last]
        if opening[1].lower() in _PYTHON and code.strip():
            blocks.append((code, opening.start(), end, bool(opening[1])))
    if not blocks:
        return None
    defining = [block for block in blocks if name is not None and defines(block[0], name)]
    functions = [block for block in blocks if re.search(r"^[ \t]*(?:async[ \t]+)?def\s", block[0], re.MULTILINE)]
    programs = [block for block in blocks if name is None and _READS.search(block[0])]
    named = [block for block in blocks if block[3]]
    code, start, end, _ = (defining or programs or functions or named or blocks)[-1]
    return code.strip("\n"), (text[:start] + text[end:]).strip()


def _completed(code: str, name: str | None, prompt: str) -> str:
    """A fenced bare body joined to its prompt; anything else unchanged."""
    if name is None or re.search(rf"\b(?:def|class)\s+{re.escape(name)}\b", code):
        return code
    return _body(code, name, prompt) or code


def _only_nests(code: str, name: str | None) -> bool:
    """Whether the body of a function is but definitions, which a whole solution is that stands indented."""
    functions = functions_of(parse_tree(code), name)
    return bool(functions) and all(isinstance(statement, Function) for statement in statements(functions[-1]))


def _indented(text: str, name: str | None) -> str | None:
    """The solution in a text whose definitions stand indented, all of them or just the first line; None without one."""
    start = None if name is None else _INDENTED_CODE.search(text)
    if start is None or name is None or _TOP_LEVEL_CODE.search(text):
        return None
    code = text[start.start() :]
    for plain in (textwrap.dedent(code), code.lstrip(" \t")):
        cut = _cut_trailing(plain)
        if defines_body(cut, name):
            return cut.strip("\n")
    return None


def _body(text: str, name: str | None, prompt: str) -> str | None:
    """`prompt` + `text` up to where the function ends, if together they define the function; else None."""
    if name is None or not prompt.strip() or not text.strip() or not _leaves_open(prompt, name):
        return None
    first = text.strip("\n")
    if not first.startswith((" ", "\t")) and _TOP_LEVEL_CODE.match(first):
        return None
    prompt = prompt_code(prompt)
    joint = prompt if prompt.endswith("\n") or text.startswith("\n") else prompt + "\n"
    tried = [text, f"    {text.lstrip()}"] if _STRIPPED.match(text) else [text]
    found = (_cut_to_parse([*_ends(body), body], joint) for body in tried)
    return next((f"{code.rstrip()}\n" for code in found if code and defines_body(code, name)), None)


def _cut_trailing(code: str) -> str:
    """The longest prefix, cut at a top-level line, that parses; the whole where none does."""
    return _cut_to_parse([code, *reversed(_ends(code))]) or code


def _ends(code: str) -> list[str]:
    """What stands before each of the first top-level lines, if it is more than blanks."""
    cuts = islice(_TOP_LEVEL_LINE.finditer(code), _CUTS_TRIED)
    return [code[: cut.start()] for cut in cuts if code[: cut.start()].strip()]


def _cut_to_parse(tried: list[str], before: str = "") -> str | None:
    return next((before + code for code in tried if parses(before + code)), None)


@lru_cache(maxsize=8192)
def code_normal_form(code: str, name: str | None = None) -> str:
    """Return code in a form that is equal for equal syntax trees.

    Docstrings, comments, annotations, unused imports and top-level statements that define nothing are gone; names that
    the code binds are renamed in order of appearance. With `name`, only what that function reaches is kept. Text that
    does not parse is normalised as text.
    """
    tree = parse_tree(code)
    if tree is None:
        return "text:" + " ".join(code.split())
    try:
        _Bare().visit(tree)
        tree.body = _kept(tree.body, name)
        _Renamed(tree, name).visit(tree)
        imports = [n for n in tree.body if isinstance(n, ast.Import | ast.ImportFrom)]
        others = [n for n in tree.body if not isinstance(n, ast.Import | ast.ImportFrom)]
        return "\n".join([*sorted(ast.unparse(n) for n in imports), *(ast.unparse(n) for n in others)])
    except (RecursionError, MemoryError, ValueError):
        return "text:" + " ".join(code.split())


def _kept(body: list[ast.stmt], name: str | None) -> list[ast.stmt]:
    """Definitions only; with a name that is defined, those it reaches. Redefinitions replace what they redefine."""
    owner: dict[str, ast.stmt] = {}
    for node in body:
        for bound in _bound_by(node):
            owner[bound] = node
    functions = [bound for bound, node in owner.items() if not bound.startswith("test_") and bound != "check"]
    pending = [name] if name in owner and name is not None else functions or list(owner)
    reached: set[str] = set()
    used: set[str] = set()
    while pending:
        current = pending.pop()
        if current in reached:
            continue
        reached.add(current)
        names = {node.id for node in ast.walk(owner[current]) if isinstance(node, ast.Name)}
        used |= names
        pending.extend(other for other in names if other in owner)
    kept = [node for node in body if any(owner[bound] is node and bound in reached for bound in _bound_by(node))]
    imports = [_used_import(node, used) for node in body if isinstance(node, ast.Import | ast.ImportFrom)]
    return [*(node for node in imports if node is not None), *kept]


def _used_import(node: ast.Import | ast.ImportFrom, used: set[str]) -> ast.stmt | None:
    names = [a for a in node.names if a.name == "*" or (a.asname or a.name.partition(".")[0]) in used]
    if not names:
        return None
    if isinstance(node, ast.Import):
        return ast.Import(names)
    return ast.ImportFrom(node.module, sorted(names, key=lambda alias: alias.name), node.level)


class _Bare(ast.NodeTransformer):
    """Drops docstrings, other lone constants, annotations and type comments."""

    def generic_visit(self, node: ast.AST) -> ast.AST:
        super().generic_visit(node)
        for field in ("body", "orelse", "finalbody"):
            statements = getattr(node, field, None)
            if isinstance(statements, list):
                kept = [s for s in statements if not _is_constant(s)]
                if field == "body" and not kept and not isinstance(node, ast.Module):
                    kept = [ast.Pass()]
                setattr(node, field, kept)
        if isinstance(node, ast.arg):
            node.annotation = None
        if isinstance(node, Function):
            node.returns = None
        return node

    def visit_AnnAssign(self, node: ast.AnnAssign) -> ast.AST:
        self.generic_visit(node)
        if node.value is None:
            return ast.Pass()
        return ast.Assign([node.target], node.value, lineno=node.lineno)


class _Renamed(ast.NodeTransformer):
    """Renames every name the module binds to v0, v1, ... in order of appearance; imports keep theirs."""

    def __init__(self, tree: ast.Module, name: str | None) -> None:
        self._bound = _names_bound(tree) - ({name} if name else set())
        self._new: dict[str, str] = {}

    def _rename(self, name: str) -> str:
        if name not in self._bound:
            return name
        return self._new.setdefault(name, f"v{len(self._new)}")

    def visit_Name(self, node: ast.Name) -> ast.AST:
        node.id = self._rename(node.id)
        return node

    def visit_arg(self, node: ast.arg) -> ast.AST:
        node.arg = self._rename(node.arg)
        return node

    def _visit_named(self, node: Function | ast.ExceptHandler) -> ast.AST:
        if node.name is not None:
            node.name = self._rename(node.name)
        return self.generic_visit(node)

    def _visit_names(self, node: ast.Nonlocal | ast.Global) -> ast.AST:
        node.names = [self._rename(name) for name in node.names]
        return node

    visit_FunctionDef = visit_AsyncFunctionDef = visit_ExceptHandler = _visit_named
    visit_Nonlocal = visit_Global = _visit_names


def _names_bound(tree: ast.Module) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            names.add(node.id)
        elif isinstance(node, ast.arg):
            names.add(node.arg)
        elif isinstance(node, Function | ast.ExceptHandler) and node.name:
            names.add(node.name)
    return names
