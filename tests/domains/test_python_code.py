"""Solutions in completions: cut out, completed by the prompt, and compared by syntax tree."""

from __future__ import annotations

import gc
import textwrap
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from memreward.domains import cluster_answers, equivalent, parse_completion, parse_rollout
from memreward.domains.code.parse import (
    code_normal_form,
    defines,
    defines_body,
    entry_point,
    parses,
    solution_source,
    syntax_tree,
)
from memreward.domains.verifiers import Verifiers
from memreward.types import Claim, Query
from rows import each_row

PROMPT = (
    "from typing import List\n\ndef helper(n):\n    return n\n\n"
    'def total(xs: List[int]) -> int:\n    """Sum of xs."""\n'
)
BODY = "    result = 0\n    for x in xs:\n        result += x\n    return result\n"
WHOLE = "def total(xs):\n" + BODY


def test_entry_point() -> None:
    assert entry_point(PROMPT) == "total"
    assert entry_point("def a():\n    pass\n\ndef b():\n    return 1\n") == "a"
    assert entry_point("def a(x):\n") == "a"
    assert entry_point("Add.\nassert round(f(1), 2) == 3.5\nassert g(1)\n") == "f"
    assert entry_point("Add.\nassert len(f(sorted([1]))) == 3\n") == "f"
    assert entry_point("Add.\nassert np.allclose(f(1), [1])\n") == "f"
    assert entry_point("Add.\nassert sum(10, abs(-15)) == 6\n") == "sum"
    assert entry_point("Write a function named `add_two(n)` that adds two.") == "add_two"
    assert entry_point("Write a function called add_two that adds two.") == "add_two"
    assert entry_point("Complete the function `add_two(n)`.") == "add_two"
    assert entry_point("Complete `def add_two(n):`, please.") == "add_two"
    assert entry_point("Read n. You may use the function `sorted`, or the method `split()`.") is None
    assert entry_point("Write a function called when two numbers are added.") is None
    assert entry_point("Write a function that adds. I assert that it (f) can.") is None
    assert entry_point("Write it.\nassert (double(2)) == 4\nassert double(3) == 6") == "double"
    assert entry_point("Write it.\nassert set(shared([1], [1])) == {1}") == "shared"
    assert entry_point("Say hello.") is None


@each_row(
    ("text", "form"),
    [
        (f"Here it is:\n```python\n{WHOLE}```\nDone.", "fence"),
        (f"```\n{WHOLE}```", "fence"),
        (f"```python\n{WHOLE}", "fence"),
        (f"```python\n{BODY}```", "fence"),
        (f"<think>loop</think>\n```python\n{WHOLE}```", "fence"),
        (f"```python\n{WHOLE}```\nTry it:\n```python\nprint(total([1]))\n```", "fence"),
        (f"```bash\nls\n```\n```python\n{WHOLE}```", "fence"),
        (f"<answer>```python\n{WHOLE}```</answer>", "fence"),
        (WHOLE, "code"),
        ("\n" + WHOLE + "\nassert total([1]) == 1\n", "code"),
        ("Sure, this adds them up:\n\n" + WHOLE, "code"),
        (WHOLE + "\nThis function adds them up.", "code"),
        (BODY, "body"),
        ("\n" + BODY, "body"),
        (BODY + "\nassert total([1]) == 1\n", "body"),
        (BODY + "\nprint(total([1, 2]))\n\ndef other(y):\n    return", "body"),
        (BODY + "\nfrom .models import (", "body"),
        (BODY + "```\nThis loops over the list.", "body"),
        (BODY + "```\n\n\n```py", "body"),
        (BODY + "\ntotal([1])\n\nThis is right.\n\n**Final Answer**\n\\boxed{1}.\n```python", "body"),
        ("if you have a list:\n\n" + WHOLE, "code"),
        (WHOLE + "```", "code"),
        (BODY + "<|endoftext|>import os", "body"),
        (f"```python\n{WHOLE}```<|im_end|>\n<|im_start|>user\nNow this:\n```python\ndef total(xs): ...\n```", "fence"),
        (BODY.lstrip(), "body"),
        (" " + WHOLE, "code"),
        ("It is this:\n\n" + textwrap.indent(WHOLE, "    ") + "\nThat is all.", "code"),
        (WHOLE.replace("\n", "\r\n"), "code"),
    ],
)
def test_every_form_gives_the_same_solution(text: str, form: str) -> None:
    completion = parse_completion(text, "code", PROMPT)
    assert completion.form == form
    assert completion.answer is not None
    assert defines(completion.answer, "total")
    assert equivalent(completion.answer, PROMPT + BODY, "code", query_text=PROMPT)


def test_a_body_that_defines_a_helper_is_no_solution_that_stands_indented() -> None:
    body = "    def total(values):\n        return values[0]\n    return total(xs) + sum(xs[1:])\n"
    assert parse_completion(body, "code", PROMPT).form == "body"
    listed = "result = 0\nfor x in xs:\n    result += x\nreturn result\n"
    assert parse_completion(f'NOTE = """\nNone.\n"""\n\n{WHOLE}', "code", PROMPT).form == "code"
    assert parse_completion(listed, "code", PROMPT).answer is None


@each_row("around", ["Complete this function.\n\n%s", "Read this:\n```python\n%s```\nAnswer in code."])
@each_row("text", [BODY, f"```python\n{BODY}```", WHOLE])
def test_a_prompt_may_say_in_words_what_to_do_with_its_code(text: str, around: str) -> None:
    answer = parse_completion(text, "code", around % PROMPT).answer
    assert answer is not None
    assert equivalent(answer, PROMPT + BODY, "code", query_text=PROMPT)


def test_bare_body_carries_the_prompt_and_leaves_out_what_follows() -> None:
    answer = parse_completion(BODY + "\nassert total([1]) == 1\n", "code", PROMPT).answer
    assert answer == PROMPT + BODY


@each_row("text", ["", "1. Add them\n2. Return them", "I cannot.", "    \n", "    # nothing yet\n"])
def test_no_code_is_no_answer(text: str) -> None:
    assert parse_completion(text, "code", PROMPT).answer is None


SHOWN = "Explain this function, then write it anew.\n```python\ndef sq(x):\n    return x * x\n```\n"
STARTED = "def sq(x):\n    if x == 0:\n        return 0\n"


@each_row(
    "text",
    ["    pass", "# as above", "sq(3)", "    return 9", "y = 1\n", "```python\nassert sq(3) == 9\n```", "```\nsq\n```"],
)
@each_row("prompt", [SHOWN, "def sq(x):\n    return x * x\n"])
def test_a_function_that_the_prompt_has_whole_is_no_solution(prompt: str, text: str) -> None:
    rollout = parse_rollout(Query("q", prompt, "code"), text, id="q/0")
    assert not defines_body(solution_source(rollout) or "", "sq")


def test_a_function_that_the_prompt_has_begun_is_continued() -> None:
    assert parse_completion("    return x * x", "code", STARTED).answer == f"{STARTED}    return x * x\n"


def test_a_prompt_in_brackets_of_instruction_may_stand_before_the_code() -> None:
    found = parse_completion(f"[INST] {PROMPT} [/INST] {WHOLE}", "code", PROMPT).answer
    assert code_normal_form(found or "", "total") == code_normal_form(WHOLE, "total")


def test_thinking_is_the_prose_around_the_code() -> None:
    assert parse_completion(f"We loop.\n```python\n{WHOLE}```\nDone.", "code", PROMPT).thinking == "We loop.\n\nDone."
    assert parse_completion(BODY, "code", PROMPT).thinking == BODY
    assert parse_completion(f"<think>loop</think>```python\n{WHOLE}```", "code", PROMPT).thinking == "loop"


@each_row(
    "other",
    [
        "def total(values):\n    acc = 0\n    for v in values:\n        acc += v\n    return acc",
        "def total(xs: list) -> int:\n    '''Doc.'''\n    result: int = 0  # start\n"
        "    for x in xs: result += x\n    return (result)",
        "import os\nfrom typing import List\n" + WHOLE + "\nprint(total([3]))\nassert total([]) == 0\n",
        WHOLE + "\ndef test_total():\n    assert total([]) == 0\n\nif __name__ == '__main__':\n    test_total()\n",
    ],
)
def test_normal_form_ignores_what_does_not_compute(other: str) -> None:
    assert code_normal_form(other, "total") == code_normal_form(WHOLE, "total")


@each_row(
    "other",
    [
        WHOLE.replace("+=", "-="),
        WHOLE.replace("= 0", "= 1"),
        WHOLE.replace("return result", "return x"),
        "from math import fsum\ndef total(xs):\n    return fsum(xs)",
        WHOLE.replace("    return result\n", ""),
    ],
)
def test_normal_form_keeps_what_computes(other: str) -> None:
    assert code_normal_form(other, "total") != code_normal_form(WHOLE, "total")


def test_used_helpers_and_imports_count_unused_ones_do_not() -> None:
    calls = "def total(xs):\n    return add(xs)\n"
    one, two = "def add(v):\n    return sum(v)\n", "def add(v):\n    return len(v)\n"
    assert code_normal_form(one + calls, "total") != code_normal_form(two + calls, "total")
    assert code_normal_form(one + WHOLE, "total") == code_normal_form(two + WHOLE, "total")
    uses = "def total(xs):\n    return fsum(xs)\n"
    assert code_normal_form("from math import fsum\n" + uses) != code_normal_form("from fast import fsum\n" + uses)


def test_code_that_does_not_parse_is_compared_as_text() -> None:
    assert cluster_answers(["def f(:", "def  f(:", "def g(:", None], "code") == [0, 0, 1, -1]


@each_row(
    "code", ["(" * 5000, "-" * 50_000 + "1", "x = 1\x00", "a" + "+a" * 20_000, "\ud800", "if x:\n" * 2000, "9" * 90_000]
)
def test_hostile_source_is_no_crash(code: str) -> None:
    assert isinstance(parses(code), bool)
    assert not defines(code, "f")
    assert code_normal_form(code) == code_normal_form(code + "\n")
    assert entry_point(code) is None
    parse_completion(code, "code", PROMPT)


def test_parses_and_defines() -> None:
    assert parses("x = 1")
    assert not parses("")
    assert not parses("x =")
    assert not parses("x = '" + "a" * 200_000 + "'")
    assert defines(WHOLE, "total")
    assert defines("total = lambda xs: sum(xs)", "total")
    assert not defines(WHOLE, "result")
    assert not defines("def total(", "total")


class Knot:
    """Garbage that only a collection ends, and whose end lets another thread run."""

    def __init__(self) -> None:
        self.me = self

    def __del__(self) -> None:
        time.sleep(0)


@pytest.fixture
def frequent_collections() -> Iterator[None]:
    usual = gc.get_threshold()
    gc.set_threshold(200)
    yield
    gc.set_threshold(*usual)


@pytest.mark.usefixtures("frequent_collections")
@pytest.mark.slow
@pytest.mark.parametrize(
    "text",
    [
        "n = int(input())\nprint(2 * n)",
        "Read it and print its double:\n\nn = int(input())\nprint(2 * n)\n\nThat is all.",
        "```python\nn = int(input())\nprint(2 * n)\n```\nFor example\n```\n3\n```\nprints\n```\n6\n```",
        "```python\ndef twice(n):\n    return 2 * n\n```\nor\n```python\nn = int(input())\nprint(2 * n)\n```",
    ],
)
def test_a_program_that_reads_its_input_needs_no_function(text: str) -> None:
    found = parse_completion(text, "code", "Read a number and print its double.").answer
    assert found is not None
    assert equivalent(found, "n = int(input())\nprint(2 * n)", "code")


def test_what_stands_before_the_first_function_of_a_program_is_part_of_it() -> None:
    program = "n = int(input())\n\ndef solve():\n    return 2 * n\n\nprint(solve())"
    assert parse_completion(program, "code", "Read a number and print its double.").answer == program


def test_programs_that_are_cut_off_are_not_all_the_same() -> None:
    texts = ["import sys\n\ndef main():\n\tif s[", "import sys\n\ndef solve(s):\n\tfor c in"]
    found = [parse_completion(text, "code", "Read a number and print its double.").answer for text in texts]
    assert cluster_answers(found, "code") == [0, 1]


@each_row("text", ["x = 5 so we are done.", "for all we know: no.", "Yes", "42"])
def test_prose_and_bare_values_are_no_program(text: str) -> None:
    assert parse_completion(text, "code", "Read a number and print its double.").answer is None


def test_a_name_may_be_bound_to_a_lambda_outside_of_a_fence() -> None:
    assert (
        parse_completion("square = lambda x: x * x", "code", "Write square.\nassert square(3) == 9").answer is not None
    )


def test_a_prompt_in_prose_may_end_with_the_head_of_a_function() -> None:
    prompt = "Write a function that adds.\ndef add(a, b): \r"
    found = parse_completion("\n    return a + b \r\nprint(add(1, 2))\r", "code", prompt).answer
    assert found is not None
    assert equivalent(found, "def add(a, b):\n    return a + b", "code", query_text=prompt)


@pytest.mark.parametrize(
    ("prompt", "text", "call"),
    [
        ("def first(xs: List[int]) -> Optional[int]:\n", "    return xs[0]\n", "first([3])"),
        (
            "def first(xs: List[int]) -> int:\n    pass\n",
            "def first(xs: List[int]) -> int:\n    return xs[0]",
            "first([3])",
        ),
        (
            "Return the first.\n```python\nclass Solution:\n    def first(self, xs: List[int]) -> int:\n```",
            "class Solution:\n    def first(self, xs: List[int]) -> int:\n        return deque(xs)[0]",
            "Solution().first([3])",
        ),
    ],
)
def test_what_a_question_uses_without_importing_is_there(prompt: str, text: str, call: str) -> None:
    claim = Claim(parse_rollout(Query("q", prompt, "code"), text, id="r"), f"assert {call} == 3")
    assert Verifiers().verify([claim])[0].correct is True


def test_a_solution_imports_what_only_it_uses() -> None:
    rollout = parse_rollout(
        Query("q", "def first(xs):\n", "code"), "def first(xs: List[int]):\n    return xs[0]", id="r"
    )
    assert "typing" not in (solution_source(rollout) or "")


def test_threads_build_trees_while_garbage_is_collected() -> None:
    """CPython 3.11 and 3.12 end one of some hundred `ast.parse` in a SystemError here."""
    source = f"x = [{'[1, 2, (3, 4, f(5 + 6))], ' * 60}]"

    def build(_: int) -> int:
        for _ in range(20):
            Knot()
        return len(syntax_tree(source).body[0].value.elts)  # type: ignore[attr-defined]

    with ThreadPoolExecutor(4) as threads:
        assert set(threads.map(build, range(400))) == {60}
