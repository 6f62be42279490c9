"""A solution that reads its own memory finds nothing of what ran before it: no code, no tests, no output."""

from __future__ import annotations

import secrets
from collections.abc import Iterator

import pytest

from memreward.sandbox import Allowance, Sandbox
from memreward.types import SandboxError

SEARCH = r"""
import ctypes, gc, os, re, sys

PAGE, GAP = 4096, 1 << 22
reading, writing = os.pipe()
libc = ctypes.CDLL(None, use_errno=True)
libc.sbrk.restype = ctypes.c_void_p
pattern = re.compile(bytes(reversed(b'-tsefinam')) + rb'[0-9a-f]{32}')

def page(address):
    # a page as the kernel reads it, None where nothing is mapped: a bad address is an error of write(2), no fault
    if libc.write(writing, ctypes.c_void_p(address), ctypes.c_size_t(PAGE)) != PAGE:
        return None
    return os.read(reading, PAGE)

def own_pages():
    yield from own_maps()
    known = {id(o) for o in gc.get_objects()} | {id(r) for o in gc.get_objects() for r in gc.get_referents(o)}
    starts = {address // GAP * GAP for address in known} | {libc.sbrk(0) - n * GAP for n in range(16)}
    for start in sorted(starts):
        for address in range(start - GAP, start + 2 * GAP, PAGE):
            yield address

def own_maps():
    try:
        lines = open('/proc/self/maps').read().splitlines()
    except OSError:
        return
    for line in lines:
        ends, rights = line.split()[:2]
        first, last = (int(end, 16) for end in ends.split('-'))
        if rights.startswith('rw'):
            yield from range(first, last, PAGE)

def search():
    found, seen, tail, read = set(), set(), (0, b''), 0
    for address in own_pages():
        if address in seen or address < PAGE:
            continue
        seen.add(address)
        held = page(address)
        if held is None:
            continue
        read += 1
        before = tail[1] if tail[0] == address else b''
        found.update(match.decode() for match in pattern.findall(before + held))
        tail = address + PAGE, held[-64:]
    return sorted(found), read
"""
PROGRAM = SEARCH + "\nprint(*search())\n"
LIMITS = Allowance(cpu_seconds=60, call_seconds=60, wall_seconds=120.0)


def marker() -> str:
    """A text that no one else has; the searcher knows its first letters, and those backwards."""
    return "manifest-" + secrets.token_hex(16)


# One containment is enough for the fast lane: none of them keeps memory apart, the template process does.
@pytest.fixture(params=["best", *(pytest.param(name, marks=pytest.mark.slow) for name in ("landlock", "none"))])
def sandbox(request: pytest.FixtureRequest) -> Iterator[Sandbox]:
    made = Sandbox(None if request.param == "best" else request.param, places=1)
    try:
        _ = made.containment
    except SandboxError as error:
        pytest.skip(str(error))
    yield made
    made.close()


@pytest.mark.slow
def test_the_search_finds_what_is_there(sandbox: Sandbox) -> None:
    own = marker()
    ran = sandbox.run(f"held = {own!r}\n{PROGRAM}", limits=LIMITS)
    assert own in ran.stdout, ran


def test_a_run_finds_nothing_of_earlier_code_tests_inputs_or_outputs(sandbox: Sandbox) -> None:
    hidden = marker()
    said = f"{hidden} " * 200
    for _ in range(3):
        tests = [f"assert f(1) == {said!r}, {said!r}"]
        sandbox.trial(f"# {said}\ndef f(x): return {said!r}", tests, entry_point="f", given=f"known = {said!r}")
        sandbox.run(f"print({said!r})\nraise ValueError({said!r})", stdin=said)
        sandbox.call(f"# {said}\ndef f(x): return x", "f", [[said]])
        sandbox.run(f"open({hidden!r}, 'w').write({said!r})")
        sandbox.rehearse(tests, entry_point="f", given=f"known = {said!r}")
    ran = sandbox.run(PROGRAM, limits=LIMITS)
    assert ran.ok, ran
    found, pages = ran.stdout.rsplit(" ", 1)
    assert found == "[]"
    assert int(pages) > 500
    trial = sandbox.trial(
        SEARCH + "\ndef f(): return search()[0]", ["assert f() == []"], entry_point="f", limits=LIMITS
    )
    assert '"passed"' in trial.tests.report, trial
