"""How an attempt at somebody's own task went: by a command, a function, or the answer itself.

A judge that fails has measured nothing. So a command that cannot be started or does not end, and a
function that raises, hangs or returns something else, leave the score unknown and say why.
"""

from __future__ import annotations

import asyncio
import inspect
import math
import re
from collections.abc import Mapping
from numbers import Real
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks.worlds._yours_code import named
from benchmarks.worlds._yours_command import run
from benchmarks.worlds._yours_file import Line, Pattern
from instar.contracts import Episode
from instar.threads import in_thread
from instar.types import Score, ScoreSource, Status, Task

__all__ = ["Judge"]

_SHELL_CANNOT = (126, 127)  # what a shell exits with if it cannot run or find a command
_VARIABLE = (
    100_000  # bytes of the answer in a variable; Linux starts nothing with one above 128 KiB
)
_SHOWN = 200


class _Raised(NamedTuple):
    """What a function raised; carried as a value because a future refuses some exceptions."""

    error: BaseException


def _unknown(why: str, source: ScoreSource = ScoreSource.PROGRAM) -> Score:
    return Score(status=Status.UNKNOWN, source=source, evidence=_plain(why))


def _verdict(passed: bool, evidence: str) -> Score:
    status = Status.PASS if passed else Status.FAIL
    return Score(
        status=status,
        value=float(passed),
        source=ScoreSource.PROGRAM,
        evidence=_plain(evidence),
    )


def _plain(text: str) -> str:
    """The text as a JSON file can hold it."""
    return text.encode("utf-8", "replace").decode()


class Judge:
    """Judges attempts at one task.

    Args:
        task: What was attempted.
        line: The same as its author wrote it.
        home: Folder of the task file.
        seconds: How long judging may take.
    """

    def __init__(self, task: Task, line: Line, home: Path, seconds: float) -> None:
        self._task, self._line, self._home = task, line, home
        self._seconds = line.seconds or seconds

    async def score(self, answer: str, folder: Path, episode: Episode) -> Score:
        """The verdict.

        Args:
            answer: The agent's last words, empty where it gave none.
            folder: Of this attempt.
            episode: Handed to a verifier.
        """
        line = self._line
        if line.answer is not None:
            return _matched(line.answer, answer.strip())
        if line.check is not None:
            return await self._command(line.check, answer, folder)
        if line.verifier is not None:
            return await self._function(line.verifier, answer, episode)
        later = "the outcome is to be reported later"
        return _unknown(later if line.outcome else "nobody judged it", ScoreSource.USER)

    def _variables(self, answer: str) -> Mapping[str, str]:
        cut = answer.replace("\0", "").encode("utf-8", "replace")[:_VARIABLE]
        return {
            "INSTAR_ANSWER": cut.decode("utf-8", "ignore"),
            "INSTAR_TASK_ID": self._task.id,
            "INSTAR_TASKS_DIR": str(self._home),
        }

    async def _command(self, command: str | tuple[str, ...], answer: str, folder: Path) -> Score:
        variables = self._variables(answer)
        try:
            code, output = await run(command, folder, variables, answer, self._seconds)
        except (OSError, ValueError) as error:
            return _unknown(f"the check cannot be started: {error}")
        told = f": {output}" if output else ""
        if code is None:
            return _unknown(f"the check did not end within {self._seconds:g} s{told}")
        if code < 0:
            return _unknown(f"the check was killed by signal {-code}{told}")
        if isinstance(command, str) and code in _SHELL_CANNOT:
            return _unknown(f"the check cannot be started: exit code {code}{told}")
        return _verdict(code == 0, f"exit code {code}{told}")

    async def _function(self, path: str, answer: str, episode: Episode) -> Score:
        try:
            async with asyncio.timeout(self._seconds):
                found = await self._asked(path, answer, episode)
        except TimeoutError:
            return _unknown(f"{path} did not end within {self._seconds:g} s")
        if isinstance(found, _Raised):
            return _unknown(f"{path} raised {found.error!r}")
        return _graded(found, path)

    async def _asked(self, path: str, answer: str, episode: Episode) -> Any:
        """What a verifier returns, or what it raised; a plain function gets a thread of its own."""
        try:
            verify = named(path, self._home)
            if inspect.iscoroutinefunction(verify):
                return await verify(self._task, answer, episode)

            def work() -> Any:
                try:
                    return verify(self._task, answer, episode)
                except BaseException as error:  # noqa: BLE001 - nothing else runs in this thread
                    return _Raised(error)

            found = await in_thread(work)
            return await found if inspect.isawaitable(found) else found
        except (Exception, SystemExit) as error:  # noqa: BLE001 - anybody's code
            return _Raised(error)


def _matched(wanted: str | Pattern, answer: str) -> Score:
    """The evidence does not name the right answer, for practice is learnt from what it says."""
    if isinstance(wanted, Pattern):
        passed = re.fullmatch(wanted.pattern, answer, re.DOTALL) is not None
    else:
        passed = answer == wanted
    said = repr(answer[:_SHOWN])
    return _verdict(passed, f"answered {said}" if passed else f"wrong answer {said}")


def _graded(found: Any, path: str) -> Score:
    """A score of what a verifier returned."""
    if isinstance(found, Score):
        return _tidy(found, path)
    if isinstance(found, bool):
        return _verdict(found, f"{path} says {found}")
    if isinstance(found, Real) and 0 <= float(found) <= 1:
        score = _verdict(float(found) == 1, f"{path} says {float(found):g}")
        return score.model_copy(update={"value": float(found)})
    said = repr(found)[:_SHOWN]
    return _unknown(f"{path} returned {said}: True, False, a number from 0 to 1 or a Score")


def _tidy(score: Score, path: str) -> Score:
    """A score that fits the contract and JSON."""
    value = score.value
    if score.status is Status.UNKNOWN:
        value = None
    elif value is None:
        value = float(score.status is Status.PASS)
    elif not 0 <= value <= 1:
        return _unknown(f"{path} returned the value {value:g}, which is not from 0 to 1")
    metrics = {k: v for k, v in score.metrics.items() if math.isfinite(v)}
    return score.model_copy(
        update={"value": value, "evidence": _plain(score.evidence), "metrics": metrics}
    )
