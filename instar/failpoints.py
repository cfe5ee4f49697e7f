"""Places where a test may kill the process, to show that nothing reported as saved is lost.

With ``INSTAR_FAILPOINT=store.apply`` in the environment the process dies by SIGKILL when it reaches
that place, with ``store.apply:3`` when it reaches it for the third time. Without the variable a
fail-point is one look into the environment.
"""

from __future__ import annotations

import os
import signal
from collections import Counter

__all__ = ["reach"]

_reached: Counter[str] = Counter()


def reach(name: str) -> None:
    """Die here if the environment says so."""
    wanted = os.environ.get("INSTAR_FAILPOINT")
    if not wanted:
        return
    place, _, times = wanted.partition(":")
    if place != name:
        return
    _reached[name] += 1
    if _reached[name] == int(times or 1):
        os.kill(os.getpid(), signal.SIGKILL)
