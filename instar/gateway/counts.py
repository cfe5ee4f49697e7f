"""What became of the requests to a gateway, counted since it began."""

from __future__ import annotations

import logging
from dataclasses import dataclass

__all__ = ["Counts"]

_LOG = logging.getLogger(__name__)


@dataclass
class Counts:
    """Counters of a gateway; only its event loop changes them.

    Attributes:
        calls: Chat completions that were asked for.
        others: Other requests, passed on and not recorded.
        sessions: Sessions that began here.
        recalled: Sessions for which something was recalled, in shadow too.
        shown: Calls into which memories were put.
        recorded: Replies that are on record.
        late: Calls that went on without memories because recall took longer than its budget.
        failed: What of ours went wrong while the call passed untouched; `last` says how.
        dropped: Replies not recorded because too many were waiting.
        unread: Replies in which no message was found, such as garbage or a refusal.
        broken: Calls that the model's server did not answer, or not to the end.
        left: Calls whose caller was gone before the end.
        last: What went wrong last.
    """

    calls: int = 0
    others: int = 0
    sessions: int = 0
    recalled: int = 0
    shown: int = 0
    recorded: int = 0
    late: int = 0
    failed: int = 0
    dropped: int = 0
    unread: int = 0
    broken: int = 0
    left: int = 0
    last: str = ""

    def lag(self, budget: float) -> None:
        """Count a call that memories came too late for."""
        self.late += 1
        _LOG.info("no memories within %.0f ms; they are shown from the next call on", 1000 * budget)

    def fail(self, error: BaseException) -> None:
        """Count what of ours went wrong."""
        self.failed += 1
        # The first line only: in the others libraries quote what people wrote.
        first = next(iter(str(error).splitlines()), "")
        self.last = f"{type(error).__name__}: {first}"[:300]
        _LOG.warning("passed untouched or not recorded: %s", self.last)
