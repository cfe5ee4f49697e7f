"""Runs ``python -m MODULE ...`` many times, in processes that share one import of what is heavy.

    python forkable.py LIBRARY ...

A line of JSON on stdin is a run: the module's name and arguments, its folder, its environment, and a file
for what it prints. The exit code comes back, by a signal negative.
"""

from __future__ import annotations

import contextlib
import gc
import importlib
import json
import os
import runpy
import signal
import sys
from typing import Any

LIMIT = 600


def run(job: dict[str, Any]) -> None:
    signal.alarm(LIMIT)
    output = os.open(job["output"], os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    nothing = os.open(os.devnull, os.O_RDONLY)
    for source, target in ((nothing, 0), (output, 1), (output, 2)):
        os.dup2(source, target)
    os.chdir(job["folder"])
    os.environ.update(job["environment"])
    sys.path[:1] = [job["folder"], *job["path"]]
    sys.argv = job["arguments"]
    runpy.run_module(job["arguments"][0], run_name="__main__", alter_sys=True)


def main() -> None:
    for name in sys.argv[1:]:
        importlib.import_module(name)
    gc.freeze()  # a child that collects would copy all of it
    for line in sys.stdin:
        child = os.fork()
        if not child:
            run(json.loads(line))
            return
        status = os.waitpid(child, 0)[1]
        with contextlib.suppress(BrokenPipeError):
            print(os.waitstatus_to_exitcode(status), flush=True)


if __name__ == "__main__":
    main()
