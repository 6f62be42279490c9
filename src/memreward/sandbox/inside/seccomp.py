"""A filter of system calls: what no solution of a programming task needs is refused by the kernel.

It refuses what the default profiles of container engines do, and every call that is newer than this list.
"""

import ctypes
import errno
import os
import struct

from .kernel import CLONE_NAMESPACES, PR_SET_NO_NEW_PRIVS, PR_SET_SECCOMP, prctl

MACHINES = {"x86_64": (0, 0xC000003E), "aarch64": (1, 0xC00000B7)}
"""Column of the tables below, and the machine's number in the kernel's audit interface."""

PIVOT_ROOT = (155, 41)

Line = tuple[int, int, int, int]

_FIRST_UNKNOWN = 450
_CLONE, _CLONE3, _PRLIMIT64 = (56, 220), (435, 435), (302, 261)
_CLONE_THREAD = 0x10000
_FCNTL, _IOCTL = (72, 25), (16, 29)
# Where nothing else hides other processes, the kernel would send them any signal for whoever owns a descriptor.
_OWNERS = {
    _FCNTL: (8, 10, 15, 1024, 1026),  # F_SETOWN, F_SETSIG, F_SETOWN_EX, F_SETLEASE, F_NOTIFY
    _IOCTL: (0x8901, 0x8902, 0x5412, 0x541C),  # FIOSETOWN, SIOCSPGRP, TIOCSTI, TIOCLINUX
}


def _calls(table: str) -> dict[str, tuple[int, int | None]]:
    """Numbers of system calls by name, on x86-64 and on 64-bit ARM; "-" where a machine has none."""
    rows = (row.split() for row in table.split(", "))
    return {name: (int(x86), None if arm == "-" else int(arm)) for name, x86, arm in rows}


_SIGNALLING = _calls("kill 62 129, tkill 200 130, tgkill 234 131, rt_sigqueueinfo 129 138, rt_tgsigqueueinfo 297 240")
_WITHOUT_PATH_RULES = _calls(  # Landlock does not rule these
    "truncate 76 45, chmod 90 -, fchmod 91 52, fchmodat 268 53, chown 92 -, fchown 93 55, lchown 94 -, "
    "fchownat 260 54, setxattr 188 5, lsetxattr 189 6, fsetxattr 190 7, removexattr 197 14, lremovexattr 198 15, "
    "fremovexattr 199 16, utime 132 -, utimes 235 -, futimesat 261 -, utimensat 280 88"
)
_NEVER = _calls(
    "fork 57 -, vfork 58 -, execve 59 221, execveat 322 281, "
    "ptrace 101 117, process_vm_readv 310 270, process_vm_writev 311 271, process_madvise 440 440, "
    "process_mrelease 448 448, kcmp 312 272, pidfd_open 434 434, pidfd_getfd 438 438, pidfd_send_signal 424 424, "
    "socket 41 198, connect 42 203, bind 49 200, listen 50 201, accept 43 202, accept4 288 242, unshare 272 97, "
    "setns 308 268, mount 165 40, umount2 166 39, pivot_root 155 41, chroot 161 51, mount_setattr 442 442, "
    "open_tree 428 428, move_mount 429 429, fsopen 430 430, fsconfig 431 431, fsmount 432 432, fspick 433 433, "
    "open_by_handle_at 304 265, name_to_handle_at 303 264, mknod 133 -, mknodat 259 33, bpf 321 280, "
    "perf_event_open 298 241, userfaultfd 323 282, io_uring_setup 425 425, io_uring_enter 426 426, "
    "io_uring_register 427 427, keyctl 250 219, add_key 248 217, request_key 249 218, kexec_load 246 104, "
    "kexec_file_load 320 294, init_module 175 105, finit_module 313 273, delete_module 176 106, reboot 169 142, "
    "swapon 167 224, swapoff 168 225, settimeofday 164 170, clock_settime 227 112, clock_adjtime 305 266, "
    "adjtimex 159 171, acct 163 89, quotactl 179 60, iopl 172 -, ioperm 173 -, modify_ldt 154 -, personality 135 92, "
    "memfd_create 319 279, memfd_secret 447 447, shmget 29 194, shmat 30 196, shmctl 31 195, msgget 68 186, "
    "msgsnd 69 189, msgrcv 70 188, msgctl 71 187, semget 64 190, semop 65 193, semctl 66 191, semtimedop 220 192, "
    "mq_open 240 180, mq_unlink 241 181, setpriority 141 140, sched_setscheduler 144 119, sched_setparam 142 118, "
    "sched_setattr 314 274, sched_setaffinity 203 122, ioprio_set 251 30, fanotify_init 300 262, "
    "fanotify_mark 301 263, move_pages 279 239, migrate_pages 256 238, mbind 237 235, set_mempolicy 238 237, "
    "syslog 103 116, sethostname 170 161, setdomainname 171 162, vhangup 153 58, lookup_dcookie 212 18, uselib 134 -, "
    "landlock_create_ruleset 444 444, seccomp 317 277"
)
_LOAD, _EQUAL, _AT_LEAST, _ANY_BIT, _RETURN = 0x20, 0x15, 0x35, 0x45, 0x06
_ALLOW, _KILL, _REFUSE = 0x7FFF0000, 0x80000000, 0x00050000
_NUMBER, _ARCHITECTURE, _FIRST_ARGUMENT, _SECOND_ARGUMENT = 0, 4, 16, 24


def machine() -> tuple[int, int] | None:
    """Return this machine's entry of `MACHINES`, or None where no filter can be written for it."""
    return MACHINES.get(os.uname().machine) if struct.calcsize("P") == 8 else None


def program(column: int, architecture: int, *, own_namespaces: bool) -> list[Line]:
    """Return the filter as (code, jump if true, jump if false, value), for a machine of `MACHINES`.

    Calls made as another architecture's kill the process. In `own_namespaces` it sees its own processes and mounts
    only.
    """
    refused = _NEVER if own_namespaces else _NEVER | _SIGNALLING | _WITHOUT_PATH_RULES
    numbers = sorted(number for pair in refused.values() if (number := pair[column]) is not None)
    no, missing = _REFUSE | errno.EPERM, _REFUSE | errno.ENOSYS
    clone_rule = [
        (_LOAD, 0, 0, _FIRST_ARGUMENT),
        (_ANY_BIT, 0, 1, CLONE_NAMESPACES),
        (_RETURN, 0, 0, no),
        (_ANY_BIT, 1, 0, _CLONE_THREAD),
        (_RETURN, 0, 0, no),
        (_RETURN, 0, 0, _ALLOW),
    ]
    limits_rule = [(_LOAD, 0, 0, _FIRST_ARGUMENT), (_EQUAL, 1, 0, 0), (_RETURN, 0, 0, no), (_RETURN, 0, 0, _ALLOW)]
    return [
        (_LOAD, 0, 0, _ARCHITECTURE),
        (_EQUAL, 1, 0, architecture),
        (_RETURN, 0, 0, _KILL),
        (_LOAD, 0, 0, _NUMBER),
        (_AT_LEAST, 0, 1, _FIRST_UNKNOWN),
        (_RETURN, 0, 0, missing),
        (_EQUAL, 0, 1, _CLONE3[column]),
        (_RETURN, 0, 0, missing),  # its flags lie in memory, out of the filter's sight; libc then uses clone
        (_EQUAL, 0, len(clone_rule), _CLONE[column]),
        *clone_rule,
        (_EQUAL, 0, len(limits_rule), _PRLIMIT64[column]),
        *limits_rule,
        *(line for call, commands in _OWNERS.items() for line in _without(call[column], commands, no)),
        *(line for number in numbers for line in ((_EQUAL, 0, 1, number), (_RETURN, 0, 0, no))),
        (_RETURN, 0, 0, _ALLOW),
    ]


def _without(number: int, commands: tuple[int, ...], no: int) -> list[Line]:
    """Refuse commands, its second argument, of a call that is allowed else."""
    refused = [line for command in commands for line in ((_EQUAL, 0, 1, command), (_RETURN, 0, 0, no))]
    rule = [(_LOAD, 0, 0, _SECOND_ARGUMENT), *refused, (_RETURN, 0, 0, _ALLOW)]
    return [(_EQUAL, 0, len(rule), number), *rule]


class _Program(ctypes.Structure):
    _fields_ = (("length", ctypes.c_ushort), ("lines", ctypes.c_char_p))


def compiled(*, own_namespaces: bool) -> bytes:
    """Return the filter for this machine as the kernel reads it; OSError where there is none."""
    found = machine()
    if found is None:
        raise OSError(errno.ENOSYS, f"no filter of system calls is known for {os.uname().machine}")
    lines = program(*found, own_namespaces=own_namespaces)
    return b"".join(struct.pack("=HBBI", *line) for line in lines)


def apply(lines: bytes) -> None:
    """Put this process, and all it starts, under a filter, for good."""
    prctl(PR_SET_NO_NEW_PRIVS, 1)
    loaded = _Program(len(lines) // 8, lines)
    prctl(PR_SET_SECCOMP, 2, ctypes.byref(loaded))
