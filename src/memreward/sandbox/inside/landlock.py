"""Landlock: file access by path, which a process takes from itself; the wall where there are no namespaces."""

import os
import struct
from collections.abc import Sequence
from pathlib import Path

from .kernel import PR_SET_NO_NEW_PRIVS, prctl, syscall

_CREATE, _ADD, _RESTRICT = 444, 445, 446  # the same on every machine
_EXECUTE, _READ_FILE, _READ_FOLDER = 1, 4, 8
_WRITE_FILE, _TRUNCATE, _CONTROL_DEVICE = 2, 1 << 14, 1 << 15
_KNOWN_RIGHTS = {1: 13, 2: 14, 3: 15, 4: 15, 5: 16}


def version() -> int:
    """Return the kernel's version of the interface; 0 where it has none."""
    try:
        return syscall(_CREATE, None, 0, 1, what="landlock")
    except OSError:
        return 0


def _handled() -> int:
    return int((1 << _KNOWN_RIGHTS[min(version(), max(_KNOWN_RIGHTS))]) - 1)


def restrict(readable: Sequence[str], listed: Sequence[str], writable: Sequence[str]) -> None:
    """Let this process read below `readable`, list below `listed`, do anything below `writable`, and no more."""
    everything = _handled()
    asked = struct.pack("=Q", everything)
    rules = syscall(_CREATE, asked, len(asked), 0, what="landlock_create_ruleset")
    for path in readable:
        _allow(rules, path, _READ_FILE | _READ_FOLDER | _EXECUTE)
    for path in listed:
        _allow(rules, path, _READ_FOLDER)
    for path in writable:
        _allow(rules, path, everything)
    prctl(PR_SET_NO_NEW_PRIVS, 1)
    syscall(_RESTRICT, rules, 0, what="landlock_restrict_self")
    os.close(rules)


def _allow(rules: int, path: str, rights: int) -> None:
    opened = os.open(path, os.O_PATH | os.O_CLOEXEC)
    if not Path(path).is_dir():
        rights &= _EXECUTE | _WRITE_FILE | _READ_FILE | _TRUNCATE | _CONTROL_DEVICE
    rule = struct.pack("=Qi", rights & _handled(), opened)
    syscall(_ADD, rules, 1, rule, 0, what=f"landlock_add_rule for {path}")
    os.close(opened)
