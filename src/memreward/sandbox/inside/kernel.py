"""The Linux calls that Python 3.11 has no function for."""

import ctypes
import os
import struct

CLONE_NAMESPACES = 0x7E020000
"""Flags of all kinds of namespaces: mounts, cgroup, UTS, IPC, user, processes and network."""
MS_NOSUID, MS_NODEV, MS_BIND, MS_REC, MS_PRIVATE = 2, 4, 4096, 16384, 1 << 18
MNT_DETACH = 2
PR_SET_PDEATHSIG, PR_SET_DUMPABLE, PR_SET_SECCOMP, PR_SET_NO_NEW_PRIVS = 1, 4, 22, 38

_AT_FDCWD, _AT_RECURSIVE = -100, 0x8000
_CAPABILITY_VERSION_3 = 0x20080522

_libc = ctypes.CDLL(None, use_errno=True)


def checked(result: int, what: str) -> int:
    """Return the result of a call, or raise OSError naming it where that is -1."""
    if result == -1:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")
    return result


def syscall(number: int, *arguments: object, what: str) -> int:
    """Make a call by number; integers are passed as longs."""
    passed = [ctypes.c_long(a) if isinstance(a, int) else a for a in arguments]
    return checked(int(_libc.syscall(ctypes.c_long(number), *passed)), what)


def unshare(flags: int) -> None:
    checked(_libc.unshare(flags), "unshare")


def mount(source: str, target: str, kind: str | None, flags: int, options: str = "") -> None:
    encoded = [None if text is None else os.fsencode(text) for text in (source, target, kind)]
    checked(_libc.mount(*encoded, ctypes.c_ulong(flags), os.fsencode(options)), f"mount on {target}")


def unmount(target: str) -> None:
    checked(_libc.umount2(os.fsencode(target), MNT_DETACH), f"umount of {target}")


def make_read_only(target: str) -> None:
    """Make a mount and all below it read-only, without set-user-id."""
    read_only, no_setuid = 1, 2
    attributes = struct.pack("=4Q", read_only | no_setuid, 0, 0, 0)  # to set, to clear, propagation, users
    place = _AT_FDCWD, os.fsencode(target), _AT_RECURSIVE
    syscall(442, *place, attributes, len(attributes), what=f"mount_setattr of {target}")


def pivot_root(number: int) -> None:
    """Make the working directory the root and detach the old one; `number` is the call's on this machine."""
    syscall(number, b".", b".", what="pivot_root")
    unmount(".")


def prctl(option: int, value: int, pointer: object = None) -> None:
    nothing = ctypes.c_ulong(0)
    second = nothing if pointer is None else pointer
    checked(_libc.prctl(option, ctypes.c_ulong(value), second, nothing, nothing), f"prctl {option}")


def drop_capabilities() -> None:
    """Give up every capability of this process, for good once no new privileges are allowed."""
    header = (ctypes.c_uint32 * 2)(_CAPABILITY_VERSION_3, 0)
    checked(_libc.capset(header, (ctypes.c_uint32 * 6)()), "capset")
