"""Programs that try to get out of the sandbox, or to use more than they may. Each is named for what it guards."""

from __future__ import annotations

import multiprocessing
import os
import re
import socket
import textwrap
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

import memreward
from memreward.sandbox import Allowance, Sandbox
from memreward.types import SandboxError
from rows import each_row

SMALL = Allowance(cpu_seconds=2, wall_seconds=10, memory_mb=256)
CALL = """
    import ctypes, os
    libc = ctypes.CDLL(None, use_errno=True)
    def call(x86, arm, *arguments):
        number = x86 if os.uname().machine == 'x86_64' else arm
        if libc.syscall(ctypes.c_long(number), *[ctypes.c_long(a) for a in arguments]) == -1:
            raise OSError(ctypes.get_errno(), 'refused')
"""

ESCAPES = {
    # files
    "reads a file outside": "open(OUTSIDE + '/secret').read()",
    "lists a folder outside": "import os; os.listdir(OUTSIDE)",
    "reads through a link": "import os; os.symlink(OUTSIDE + '/secret', 'link'); open('link').read()",
    "takes a hard link": "import os; os.link(OUTSIDE + '/secret', 'link')",
    "writes a file outside": "open(OUTSIDE + '/new', 'w').write('x')",
    "empties a file outside": "import os; os.truncate(OUTSIDE + '/secret', 0)",
    "removes a file outside": "import os; os.unlink(OUTSIDE + '/secret')",
    "changes the mode of a file outside": "import os; os.chmod(OUTSIDE + '/secret', 0o777)",
    "reads the home folder": "import os; assert os.listdir(HOME)",
    "reads the list of users": "open('/etc/passwd').read()",
    "writes into the standard library": "import os; open(os.path.dirname(os.__file__) + '/new.py', 'w')",
    "writes into a folder of the system": "open('/usr/lib/new', 'w')",
    "writes to the root": "open('/new', 'w')",
    "reads the processes": "open('/proc/1/environ').read()",
    "reads its own process": "open('/proc/self/mem', 'rb')",
    "reads a disk": "import os; os.mknod('disk', 0o60600, os.makedev(8, 0)); open('disk', 'rb')",
    "opens a file by its handle": CALL + "call(304, 265, 0, 0, 0)",
    "imports what is installed beside": "import pytest",
    # the environment
    "reads a secret of the environment": "import os; assert SECRET in str(dict(os.environ))",
    # the network
    "connects to this machine": "import socket; socket.create_connection(('127.0.0.1', PORT), 2)",
    "sends a datagram": "import socket; socket.socket(type=socket.SOCK_DGRAM).sendto(b'x', ('127.0.0.1', PORT))",
    "connects to a local socket": "import socket; socket.socket(socket.AF_UNIX).connect(OUTSIDE + '/socket')",
    "connects to an abstract socket": "import socket; socket.socket(socket.AF_UNIX).connect('\\0' + ABSTRACT)",
    "listens": "import socket; socket.create_server(('127.0.0.1', 0))",
    "uses a ring of the kernel in place of sockets": CALL + "call(425, 425, 1, 0)",
    # processes
    "forks": "import os; os.fork()",
    "forks by the raw call": CALL + "call(56, 220, 17, 0, 0, 0, 0)",
    "forks by the newer call": CALL + "call(435, 435, 0, 0)",
    "starts a program": "import subprocess, sys; subprocess.run([sys.executable, '-c', ''], check=True)",
    "becomes a program": "import os, sys; os.execv(sys.executable, ['python'])",
    "becomes the linker": "import os; os.execv('/lib64/ld-linux-x86-64.so.2', ['ld'])",
    "stops its owner": "import os, signal; os.kill(OWNER, signal.SIGSTOP)",
    "traces its parent": CALL + "call(101, 117, 16, os.getppid(), 0, 0)",
    "reads its parent's memory": CALL + "call(310, 270, os.getppid(), 0, 0, 0, 0, 0)",
    "has the kernel signal its parent": "import fcntl, os; fcntl.fcntl(os.pipe()[0], fcntl.F_SETOWN, os.getppid())",
    "has it signal a group": "import fcntl, os; fcntl.ioctl(os.pipe()[0], 0x8901, b'\\0\\0\\0\\0')",
    "takes a handle on its parent": "import os; os.pidfd_open(os.getppid())",
    # the kernel
    "makes namespaces of its own": CALL + "call(272, 97, 0x10000000)",
    "joins namespaces": CALL + "call(308, 268, 0, 0)",
    "mounts": CALL + "call(165, 40, 0, 0, 0, 0, 0)",
    "unmounts": CALL + "call(166, 39, 0, 2)",
    "changes the root": "import os; os.chroot('.')",
    "becomes root": "import os; os.setuid(0); open('/etc/shadow').read()",
    "raises its limits": "import resource; resource.setrlimit(resource.RLIMIT_AS, (-1, -1))",
    "changes another's limits": "import resource, os; resource.prlimit(os.getppid(), resource.RLIMIT_CPU, (1, 1))",
    "loads a program into the kernel": CALL + "call(321, 280, 0, 0, 0)",
    "watches the processor": CALL + "call(298, 241, 0, 0, -1, 0, 0)",
    "handles page faults": CALL + "call(323, 282, 1)",
    "keeps something in the kernel's keys": CALL + "call(250, 219, 0, -3, 1)",
    "shares memory": CALL + "call(29, 194, 0, 4096, 0o1600)",
    "opens a queue of messages": CALL + "call(68, 186, 0, 0o1600)",
    "makes a file of memory": "import os; os.memfd_create('x')",
    "uses the numbers of another machine": CALL + "call(0x40000000 | 41, 198, 2, 1, 0)",
    "calls what is newer than the filter": CALL + "call(460, 460, 0)",
    "sets the clock": "import time; time.clock_settime(time.CLOCK_REALTIME, time.time())",
    "turns the machine off": CALL + "call(169, 142, 0, 0, 0)",
    # what it may use
    "takes more memory": "x = bytearray(600_000_000)",
    "writes a large file": "open('large', 'wb').write(b'x' * 40_000_000)",
    "opens many files": "x = [open('f', 'w') for _ in range(100)]",
    "starts many threads": """
        import threading, time
        for _ in range(500): threading.Thread(target=time.sleep, args=(3,), daemon=True).start()
    """,
}
POSSIBLE_WITHOUT_WALLS = (
    "reads a file outside",
    "lists a folder outside",
    "reads the home folder",
    "writes a file outside",
    "connects to this machine",
    "connects to a local socket",
    "connects to an abstract socket",
    "listens",
    "forks",
    "makes a file of memory",
    "shares memory",
    "takes a handle on its parent",
    "has the kernel signal its parent",
)
"""What succeeds uncontained, so that its failure inside is the sandbox's doing."""


@pytest.fixture(scope="module")
def surroundings(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, object]]:
    """Things outside that a program may try to reach: files, a secret, listening sockets."""
    outside = tmp_path_factory.mktemp("outside")
    (outside / "secret").write_text("hidden")
    os.environ["MEMREWARD_TEST_SECRET"] = "hidden-in-the-environment"
    here = Path.cwd()
    os.chdir(outside)
    local = socket.socket(socket.AF_UNIX)
    local.bind("socket")  # the whole path may be longer than such a name may be
    os.chdir(here)
    abstract = socket.socket(socket.AF_UNIX)
    abstract.bind(f"\0memreward-{os.getpid()}")
    server = socket.create_server(("127.0.0.1", 0))
    for listening in (local, abstract):
        listening.listen()
    with local, abstract, server:
        yield {
            "OUTSIDE": str(outside),
            "HOME": str(outside),
            "SECRET": os.environ["MEMREWARD_TEST_SECRET"],
            "PORT": server.getsockname()[1],
            "ABSTRACT": f"memreward-{os.getpid()}",
            "OWNER": os.getpid(),
        }
    del os.environ["MEMREWARD_TEST_SECRET"]


@pytest.fixture(scope="module", params=["namespaces", "landlock"])
def sandbox(request: pytest.FixtureRequest, surroundings: dict[str, object]) -> Iterator[Sandbox]:
    made = Sandbox(request.param, places=1)
    try:
        _ = made.containment
    except SandboxError as error:
        pytest.skip(str(error))
    yield made
    made.close()


def attempt(sandbox: Sandbox, code: str, surroundings: dict[str, object]) -> str:
    """What a program prints that says whether it got away with it."""
    body = textwrap.indent(textwrap.dedent(CALL if code.startswith(CALL) else ""), "    ")
    body += textwrap.indent(textwrap.dedent(code.removeprefix(CALL)), "    ")
    names = "".join(f"{name} = {value!r}\n" for name, value in surroundings.items())
    said = "except BaseException as error:\n    print('HELD', repr(error))\nelse:\n    print('ESCAPED')\n"
    source = f"{names}try:\n{body}\n{said}"
    compile(source, "sample", "exec")
    return sandbox.run(source, limits=SMALL).stdout


@each_row("name", ESCAPES)
def test_a_program_does_not_get_out(sandbox: Sandbox, name: str, surroundings: dict[str, object]) -> None:
    assert "ESCAPED" not in attempt(sandbox, ESCAPES[name], surroundings)
    assert sandbox.run("print('still here')").stdout == "still here\n"
    assert (Path(str(surroundings["OUTSIDE"])) / "secret").read_text() == "hidden"


@pytest.mark.parametrize("name", POSSIBLE_WITHOUT_WALLS)
@pytest.mark.slow
def test_without_walls_it_would(name: str, surroundings: dict[str, object]) -> None:
    bare = Sandbox("none", places=1)
    try:
        assert "ESCAPED" in attempt(bare, ESCAPES[name], surroundings)
    finally:
        bare.close()
        (Path(str(surroundings["OUTSIDE"])) / "new").unlink(missing_ok=True)


def test_the_temporary_folder_is_empty_writable_and_gone_afterwards(sandbox: Sandbox) -> None:
    program = "import os; print(os.listdir('.')); open('left', 'w').write('x'); os.makedirs('a/b')"
    for _ in range(3):
        assert sandbox.run(program).stdout == "[]\n"


@pytest.mark.slow
def test_folders_in_each_other_without_end_do_not_hold_up_the_next_run(sandbox: Sandbox) -> None:
    deep = "import os\nfor _ in range(1500):\n    os.mkdir('d' * 200)\n    os.chdir('d' * 200)\nprint('made')"
    for _ in range(2):
        assert sandbox.run(deep).stdout == "made\n"
        assert sandbox.run("import os; print(os.listdir(os.environ['TMPDIR']))").stdout == "[]\n"


def test_a_program_reads_its_input_and_reports_its_end(sandbox: Sandbox) -> None:
    ran = sandbox.run("import sys\nprint(input()[::-1])\nprint('worse', file=sys.stderr)\nsys.exit(3)", stdin="abcé\n")
    assert (ran.stdout, ran.stderr, ran.returncode, ran.ok) == ("écba\n", "worse\n", 3, False)


@pytest.mark.parametrize(
    "sandbox", ["namespaces", pytest.param("landlock", marks=pytest.mark.slow)], indirect=True, scope="module"
)
@pytest.mark.parametrize(
    ("program", "ending"),
    [
        ("while True: pass", "cpu"),
        pytest.param(
            "import signal\nsignal.signal(signal.SIGXCPU, signal.SIG_IGN)\nwhile True: pass",
            "cpu",
            marks=pytest.mark.slow,
        ),
        ("while True: print('x' * 1000)", "output"),
        ("import sys\nwhile True: sys.stderr.write('x' * 1000)", "output"),
    ],
)
def test_a_limit_ends_a_program_and_says_so(sandbox: Sandbox, program: str, ending: str) -> None:
    # On a busy machine a second of processor time takes long.
    limits = Allowance(cpu_seconds=1, wall_seconds=200)
    ran = sandbox.run(program, limits=limits)
    assert ran.ended_by == ending
    assert not ran.ok
    assert len(ran.stdout) <= 16_000_000


def test_a_sleeper_is_ended_by_the_clock(sandbox: Sandbox) -> None:
    ran = sandbox.run("print('begun', flush=True)\nimport time\ntime.sleep(60)", limits=Allowance(wall_seconds=0.5))
    assert (ran.ended_by, ran.stdout) == ("wall", "begun\n")


def test_no_program_starts_another(sandbox: Sandbox) -> None:
    ran = sandbox.run("import os\ntry:\n    os.fork()\nexcept OSError as error:\n    print(error.errno)")
    assert ran.stdout == "1\n"


def test_threads_share_a_sandbox(sandbox: Sandbox) -> None:
    seen: dict[int, str] = {}

    def run(number: int) -> None:
        seen[number] = sandbox.run(f"print({number})").stdout

    threads = [threading.Thread(target=run, args=(number,)) for number in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert seen == {number: f"{number}\n" for number in range(12)}


def _run_in_process(sandbox: Sandbox, answers: multiprocessing.Queue[str]) -> None:
    answers.put(sandbox.run("print('from a process')").stdout)


@pytest.mark.parametrize("method", ["spawn", "fork"])
@pytest.mark.slow
def test_other_processes_may_use_it(sandbox: Sandbox, method: str) -> None:
    sandbox.run("pass")
    context = multiprocessing.get_context(method)
    answers = context.Queue()
    process = context.Process(target=_run_in_process, args=(sandbox, answers))
    process.start()
    assert answers.get(timeout=60) == "from a process\n"
    process.join()
    assert sandbox.run("print('and here')").stdout == "and here\n"


@pytest.mark.slow
def test_a_keeper_that_dies_is_replaced(sandbox: Sandbox) -> None:
    sandbox.run("pass")
    for keeper in sandbox._keepers:
        if keeper._process is not None:
            keeper._process.kill()
            keeper._process.wait()
    assert sandbox.run("pass").ended_by in ("", "lost")
    assert sandbox.run("print('again')").stdout == "again\n"


def test_keepers_end_with_their_owner(tmp_path: Path) -> None:
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        made = Sandbox(places=1)
        made.run("pass")
        pids = [keeper._process.pid for keeper in made._keepers if keeper._process is not None]
        os.write(write, " ".join(map(str, pids)).encode())
        os._exit(0)  # no clean-up of any kind
    os.close(write)
    os.waitpid(child, 0)
    pids = [int(text) for text in os.read(read, 1000).split()]
    os.close(read)
    assert pids
    until = time.monotonic() + 20
    while any(_alive(pid) for pid in pids) and time.monotonic() < until:
        time.sleep(0.05)
    assert not any(_alive(pid) for pid in pids)


def _alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


@pytest.mark.slow
def test_where_nothing_contains_it_nothing_is_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.platform", "plan9")
    with pytest.raises(SandboxError, match="cannot be contained"):
        Sandbox().run("print(1)")


@pytest.mark.slow
def test_no_clock_of_the_judge_is_an_alarm() -> None:
    package = Path(memreward.__file__).parent
    judges = ("sandbox/**/*.py", "domains/code/*.py", "domains/*.py", "domains/**/verify*.py", "features/behaviour.py")
    sources = [file for pattern in judges for file in package.glob(pattern)]
    assert len(sources) > 15
    alarms = re.compile(r"\b(?:alarm|setitimer|SIGALRM|ITIMER_\w+)\b\s*\(?")
    assert [path.name for path in sources if alarms.search(path.read_text(encoding="utf-8"))] == []
