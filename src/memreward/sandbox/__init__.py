"""Runs Python that a model wrote, contained. Linux on x86-64 or 64-bit ARM.

A *keeper*, an interpreter that walls itself in, runs nothing foreign and sees none of it, forks a child for every run.
The child reads for itself what it is to run, and writes straight to its owner, so it is a copy of an interpreter that
never held anybody's code, tests or output; processes are killed, the temporary folder is emptied. Start-up is paid
once. All children share the keeper's hash seed (0, so that sets have one order everywhere) and its address layout.

==============  =======================================================================================================
containment     walls
==============  =======================================================================================================
namespaces      own users, mounts, processes, network and IPC: nothing is mounted but the interpreter, its standard
                library, shared libraries and numpy, read-only, and an empty /scratch in memory; no network but a dead
                loopback; no process but its own; runs as nobody without capabilities. Plus seccomp and limits.
landlock        where namespaces are forbidden (in most containers): files by Landlock, sockets, signals, new processes
                and changes of file attributes by seccomp. Plus limits.
none            limits only. Never chosen, only asked for by name.
==============  =======================================================================================================

Where neither of the first two can be had, `SandboxError` is raised and nothing is run. Limits: processor and wall
time, memory, scratch space, processes, threads, open files, output (`Allowance`). A run that reaches its end or a limit
is killed with all its children. The environment of a run holds nothing of ours.

What this does **not** protect against:

- Faults of the kernel: foreign code runs on it. Use a virtual machine where that matters.
- Channels through timing, caches, load and locks on files that all may read; a run can also slow down its neighbours
  on the same processors.
- Memory in sum: the limit is per process, and holds address space. Scratch files come on top.
- With "landlock": existence, size and names of files outside can be learnt (not their content), several large files
  may fill the disk that holds the temporary folder, and the standard library's folder can be listed.
- The interpreter's own files (standard library, shared libraries, numpy) can be read, also where they lie in a home.
- Lies: what a run prints or returns is whatever it likes. Decide about it outside; `Sandbox.trial` keeps tests and
  solution in two sandboxes that exchange plain data.
- A solution that knows it is being tested, and answers differently elsewhere.
"""

from memreward.sandbox.inside.plain import BUSY, PATIENCE
from memreward.sandbox.limits import Allowance, Containment, Execution
from memreward.sandbox.sandbox import Sandbox, Trial, available_containment

__all__ = ["BUSY", "PATIENCE", "Allowance", "Containment", "Execution", "Sandbox", "Trial", "available_containment"]
