"""A keeper process as its owner sees it: started when needed, asked, stopped, replaced when it breaks down."""

import contextlib
import json
import os
import socket
import subprocess
import sys
import sysconfig
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from memreward.sandbox.inside import plain
from memreward.sandbox.limits import Allowance, Containment, Execution
from memreward.temporary import TemporaryFolder
from memreward.types import SandboxError

START_LIMIT_S = 60.0
GRACE_S = 5.0
"""How long after its limit a run may take to be ended and reported."""
_MOST_WRITTEN = plain.FILE_MB * 1_000_000

_STANDARD = (
    "abc argparse ast base64 bisect calendar cmath collections copy csv dataclasses datetime decimal enum "
    "fractions functools hashlib heapq inspect io itertools json math numbers operator queue random re statistics "
    "string struct textwrap time traceback typing unicodedata"
)
"""Modules that a run finds loaded; others load when they are imported."""
_SYSTEM = ("/lib", "/lib64", "/usr/lib", "/usr/lib64", "/usr/share/zoneinfo", "/etc/ld.so.cache")
"""Where shared libraries lie, and what the standard library reads."""

_START = (
    "import json, os, sys; sys.path.insert(0, sys.argv[1]); sys.dont_write_bytecode = True; "
    "from inside.keeper import main; main(json.loads(sys.argv[2]), int(sys.argv[3]))"
)


class KeeperRefusedError(SandboxError):
    """The system does not allow this containment."""


@dataclass(frozen=True)
class Job:
    """Something to run.

    `kind` is "program", "serve", "calls", "tests" or "rehearsal"; `what` it needs is JSON that only the run itself
    reads; `writes` are the streams that are kept: "stdout", "stderr", "report".
    """

    kind: str
    what: dict[str, Any]
    stdin: str | None = None
    writes: tuple[str, ...] = ("report",)


class Keeper:
    """One keeper process; it carries out one run at a time and is not safe to share between threads.

    What is to be run stands in a file of memory that the keeper passes on unread, what it writes in others. Of the
    `packages` that it may import, absent ones are left out.
    """

    def __init__(self, containment: Containment, packages: Sequence[str] = ()) -> None:
        self._containment, self._packages = containment, packages
        self._process: subprocess.Popen[bytes] | None = None
        self._control: socket.socket | None = None
        self._folder: TemporaryFolder | None = None
        self._output: dict[str, int] = {}

    def start(self) -> None:
        """Start the process, unless it runs; KeeperRefusedError where the system does not allow the containment."""
        if self._process is not None:
            return
        self._folder = TemporaryFolder()
        ours, theirs = socket.socketpair()
        settings = _settings(self._containment, str(self._folder.path), self._packages)
        with theirs:
            self._process = subprocess.Popen(
                [
                    *(sys.executable, "-s", "-S", "-P", "-W", "ignore", "-c", _START),
                    *(str(Path(__file__).parent), json.dumps(settings), str(theirs.fileno())),
                ],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                env=_environment(),
                pass_fds=(theirs.fileno(),),
                cwd="/",
                start_new_session=True,
            )
        self._control = ours
        reply = self._receive(time.monotonic() + START_LIMIT_S)
        if reply is None or "ready" not in reply:
            refused = reply is not None and "refused" in reply
            said = "" if refused else self._last_words()
            self.kill()
            if reply is not None and refused:
                raise KeeperRefusedError(reply["refused"])
            raise SandboxError(
                f"the sandbox's interpreter did not start ({self._containment}; {said or 'it said nothing'}): "
                f"check that {sys.executable} runs on its own"
            )

    def begin(self, job: Job, limits: Allowance, channel: socket.socket | None = None) -> None:
        """Begin a run, perhaps with a channel to another; `result` waits for what comes of it."""
        self.start()
        assert self._control is not None
        self._output = {name: _file_of_memory() for name in job.writes}
        passed = {"what": _file_of_memory(json.dumps(job.what).encode("ascii"))}
        if job.stdin is not None:
            passed["stdin"] = _file_of_memory(job.stdin.encode("utf-8", "surrogatepass"))
        descriptors = passed | self._output | ({} if channel is None else {"channel": channel.fileno()})
        request = {"job": job.kind, "limits": asdict(limits), "descriptors": list(descriptors)}
        message = json.dumps(request).encode("ascii")
        try:
            socket.send_fds(self._control, [len(message).to_bytes(4, "big")], list(descriptors.values()))
            self._control.sendall(message)
        except OSError:
            self.kill()
        finally:
            for descriptor in passed.values():
                os.close(descriptor)

    def result(self, seconds: float) -> Execution | None:
        """Return how the run ended, or None where it has not after `seconds`; a keeper that broke down is replaced."""
        if self._control is None:
            return Execution(-1, "lost")
        reply = self._receive(time.monotonic() + seconds)
        if reply is None:
            return None
        written = {name: os.pread(descriptor, _MOST_WRITTEN, 0) for name, descriptor in self._output.items()}
        self._close_output()
        if reply["ended_by"] != "lost" and any(len(data) >= _MOST_WRITTEN for data in written.values()):
            reply["ended_by"] = "output"
        texts = {name: data.decode("utf-8", "replace") for name, data in written.items()}
        ended = Execution(**(reply | texts))
        if ended.ended_by == "lost":
            self.kill()
        return ended

    def finish(self) -> Execution:
        """End the run that is under way and return what came of it."""
        if self._control is not None:
            with contextlib.suppress(OSError):  # it is gone, which is seen when its word is waited for
                plain.send(self._control, b'{"job": "stop"}')
        ended = self.result(GRACE_S)
        if ended is None:
            self.kill()
        return ended or Execution(-1, "lost")

    def kill(self) -> None:
        """End the process and with it everything it runs; it starts again when asked."""
        process, folder = self._process, self._folder
        self._let_go()
        if process is not None:
            process.kill()
            process.wait()
            if process.stderr is not None:
                process.stderr.close()
        if folder is not None:
            folder.remove()

    def forget(self) -> None:
        if self._process is not None:
            self._process.returncode = 0  # not ours to wait for, nor to warn of
        if self._folder is not None:
            self._folder.forget()
        self._let_go()

    def _let_go(self) -> None:
        if self._control is not None:
            self._control.close()
        self._close_output()
        self._process, self._control, self._folder = None, None, None

    def _close_output(self) -> None:
        for descriptor in self._output.values():
            os.close(descriptor)
        self._output = {}

    def _last_words(self) -> str:
        if self._process is None:
            return ""
        self._process.kill()
        assert self._process.stderr is not None
        return self._process.stderr.read().decode("utf-8", "replace").strip().rpartition("\n")[2]

    def _receive(self, until: float) -> dict[str, Any] | None:
        """One reply; None where none came in time; "lost" where the other side hung up."""
        assert self._control is not None
        try:
            message = plain.receive(self._control, until=until)
        except TimeoutError:
            return None
        finally:
            self._control.settimeout(None)
        if message is None:
            return {"returncode": -1, "ended_by": "lost"}
        reply: dict[str, Any] = json.loads(message)
        return reply


def _file_of_memory(content: bytes = b"") -> int:
    """A descriptor of a file that only its holders can reach, to be read from its beginning."""
    descriptor = os.memfd_create("run")
    with open(descriptor, "wb", closefd=False) as file:
        file.write(content)
    os.lseek(descriptor, 0, os.SEEK_SET)
    return descriptor


def _settings(containment: Containment, folder: str, packages: Sequence[str]) -> dict[str, Any]:
    libraries = _standard_libraries()
    dynamic = [folder for folder in (f"{library}/lib-dynload" for library in libraries) if Path(folder).is_dir()]
    system = [path for path in _SYSTEM if Path(path).exists()]
    own = sorted(str(path) for path in Path(sys.base_prefix, "lib").glob("lib*.so*"))
    hidden = [f"{library}/{name}" for library in libraries for name in ("site-packages", "dist-packages")]
    if containment == "landlock":  # it has no way to hide what lies below a folder
        libraries_shown = [str(child) for library in libraries for child in Path(library).iterdir()]
        shown = [path for path in libraries_shown if path not in hidden]
    else:
        shown = libraries
    found = [place for name in packages for place in _places(name)]
    return {
        "containment": containment,
        "folder": folder,
        "read_only": _outermost([*system, *own, *shown]),
        "hidden": [*hidden, "/usr/lib/python3/dist-packages"],
        "packages": found,
        "listed": libraries if containment == "landlock" else [],
        "path": [*libraries, *dynamic, *dict.fromkeys(str(Path(place).parent) for place in found)],
        "preload": [*_STANDARD.split(), *(name for name in packages if _places(name))],
    }


def _standard_libraries() -> list[str]:
    """Folders of the interpreter's own modules, also where this process runs in a virtual environment."""
    places = {"base": sys.base_prefix, "platbase": sys.base_exec_prefix}
    paths = [sysconfig.get_path(name, vars=places) for name in ("stdlib", "platstdlib")]
    return list(dict.fromkeys(os.path.realpath(path) for path in paths if path))


def _places(package: str) -> list[str]:
    """Where an installed package lies, with the shared libraries that its wheel put beside it."""
    spec = find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        return []
    place = Path(next(iter(spec.submodule_search_locations)))
    beside = place.with_name(f"{package}.libs")
    return [str(place), *([str(beside)] if beside.is_dir() else [])]


def _outermost(paths: Sequence[str]) -> list[str]:
    distinct = set(paths)
    return [path for path in sorted(distinct) if not any(str(above) in distinct for above in Path(path).parents)]


def _environment() -> dict[str, str]:
    """What a keeper sees of the environment: nothing of ours but where shared libraries lie."""
    kept = {name: os.environ[name] for name in ("LD_LIBRARY_PATH",) if name in os.environ}
    threads = {f"{library}_NUM_THREADS": "1" for library in ("OMP", "OPENBLAS", "MKL")}
    return {"PATH": "/nonexistent", "LANG": "C.UTF-8", "PYTHONHASHSEED": "0", "PYTHONUTF8": "1", **threads, **kept}
