"""New namespaces, and a file system in which nothing stands but Python."""

import contextlib
import os
from collections.abc import Sequence
from pathlib import Path

from . import kernel, seccomp

NOBODY = 65534
SCRATCH = "/scratch"
"""Where a run may write. Not /tmp: an installation below /tmp is shown under its own name, and would be covered."""
DEVICES = ("/dev/null", "/dev/zero", "/dev/random", "/dev/urandom")


def enter() -> None:
    """Move into new namespaces as process 1, while the caller's waits; foreign code is to run as `NOBODY`."""
    owner, group = os.geteuid(), os.getegid()
    told, tell = os.pipe()
    mapper = os.fork() if owner == 0 else 0
    if owner == 0 and mapper == 0:
        os.close(tell)
        _map_two_users(told, os.getppid())
    kernel.unshare(kernel.CLONE_NAMESPACES)
    os.write(tell, b"x")
    os.close(tell)
    os.close(told)
    mapped_two = owner == 0 and os.waitpid(mapper, 0)[1] == 0
    if not mapped_two:
        _write("/proc/self/setgroups", "deny")
        _write("/proc/self/uid_map", f"{NOBODY} {owner} 1")
        _write("/proc/self/gid_map", f"{NOBODY} {group} 1")
    child = os.fork()
    if child:
        _wait_and_leave(child)
    kernel.prctl(kernel.PR_SET_PDEATHSIG, 9)


def build_root(folder: str, read_only: Sequence[str], hidden: Sequence[str], packages: Sequence[str]) -> None:
    """Make `folder` the root: `read_only` paths, `hidden` folders covered, `packages` shown, an empty `SCRATCH`."""
    kernel.mount("none", "/", None, kernel.MS_REC | kernel.MS_PRIVATE)
    kernel.mount("tmpfs", folder, "tmpfs", kernel.MS_NOSUID | kernel.MS_NODEV, "size=1m,mode=755")
    for path in (*read_only, *DEVICES):
        _show(path, folder)
    for path in hidden:
        covered = folder + path
        if Path(covered).is_dir():
            kernel.mount("tmpfs", covered, "tmpfs", kernel.MS_NOSUID | kernel.MS_NODEV, "size=4k,mode=755")
    for path in packages:
        _show(path, folder)
    Path(folder + SCRATCH).mkdir()
    os.chdir(folder)
    column = seccomp.machine()
    assert column is not None
    kernel.pivot_root(seccomp.PIVOT_ROOT[column[0]])
    os.chdir("/")
    kernel.make_read_only("/")


def fresh_scratch(megabytes: int) -> None:
    """Put a new, empty folder over the last one."""
    if os.path.ismount(SCRATCH):
        kernel.unmount(SCRATCH)
    options = f"size={megabytes}m,nr_inodes=4096,mode=1777"
    kernel.mount("tmpfs", SCRATCH, "tmpfs", kernel.MS_NOSUID | kernel.MS_NODEV, options)


def _show(path: str, folder: str) -> None:
    target = Path(folder + path)
    if Path(path).is_dir():
        target.mkdir(parents=True, exist_ok=True)
    else:
        target.parent.mkdir(parents=True, exist_ok=True)
        target.touch()
    kernel.mount(path, str(target), None, kernel.MS_BIND | kernel.MS_REC)


def _map_two_users(told: int, process: int) -> None:
    """In a helper that stayed outside: give the namespace root, to read Python's files, and nobody, to run as."""
    try:
        os.read(told, 1)
        for name in ("uid_map", "gid_map"):
            _write(f"/proc/{process}/{name}", f"0 0 1\n{NOBODY} {NOBODY} 1")
    except OSError:
        os._exit(1)
    os._exit(0)


def _wait_and_leave(child: int) -> None:
    """Hold nothing open, wait for process 1, and end as it did."""
    os.closerange(0, 1 << 16)
    _, status = os.waitpid(child, 0)
    os._exit(os.waitstatus_to_exitcode(status) & 0xFF)


def _write(path: str, text: str) -> None:
    Path(path).write_text(text)


def remove_folder(folder: str) -> None:
    """Remove a folder and all in it: also folders that may not be listed, and a thousand of them in each other."""
    mark, waiting, moved = os.urandom(8).hex(), [Path(folder)], 0
    while waiting:
        place = waiting.pop()
        with contextlib.suppress(OSError):  # another process may remove it too
            place.chmod(0o700)
            for entry in list(place.iterdir()):
                with contextlib.suppress(OSError):
                    if entry.is_symlink() or not entry.is_dir():
                        entry.unlink()
                        continue
                    entry.chmod(0o700)
                    waiting.append(entry.rename(Path(folder, f"{mark}-{moved}")))  # a path that is never too long
                    moved += 1
            place.rmdir()
    with contextlib.suppress(OSError):
        Path(folder).rmdir()
