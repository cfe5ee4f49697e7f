"""Your own tasks: one JSON object a line, done on a page, with files or with tools of your own.

A line has an ``instruction`` and exactly one place to work:

* ``url``, a page to begin on. The agent stays on its host and those of ``hosts``. What it does to
  the site stays done: putting it back between attempts is the site's business.
* ``files``, a folder, or an object of file names and texts. Each attempt gets a copy of its own.
* ``tools``, the dotted path of a function that makes a toolset for one attempt (given the
  attempt's folder if it takes an argument), or a list of dotted paths of functions that are the
  tools. What such functions keep in their module all attempts share, several at a time.

and at most one way to tell how it went; without one the score stays unknown:

* ``check``, a command (a text for the shell, or a list) that exits with 0 for success. It runs in
  the attempt's folder, where the agent may have left anything, so give programs that lie beside
  the task file by ``$INSTAR_TASKS_DIR``. The answer comes on standard input and, cut at 100,000
  bytes, in ``$INSTAR_ANSWER``. What the command leaves running is ended with it.
* ``verifier``, the dotted path of ``verify(task, answer, episode)``, plain or async, which returns
  True or False, a number from 0 to 1 of which only 1 is success, or a `Score`. ``episode`` has the
  ``folder``, the ``toolset`` and the ``answer``.
* ``answer``, the agent's answer without blanks around it, or ``{"pattern": ...}``, a regular
  expression for the whole of it.
* ``outcome``: ``"later"``. An agent of your own (``agent.command``, ``agent.url``) may report it in
  the session of the attempt, on a person's or a program's word; where none does the score stays
  unknown, and the episode stands in the run's ``episodes.jsonl`` under its task's id.

A check that cannot be started or does not end within ``seconds``, and a verifier that raises,
measure nothing: the score is unknown. Further keys are ``id``, ``family``, ``seconds``, ``split``,
and ``parents``, ids of tasks that it was made of: what was learnt from these is kept from it.

A task without ``split`` is held out: it is measured on and never learnt from, so ten tasks without
marks are ten tasks for ``instar bench run``. To learn, mark tasks ``practise`` and ``gate``; ``hash``
deals a task out by its key, half of them to practise and a quarter each to gate and held_out.

Paths are relative to the task file, whose folder is searched for modules last. Blank lines and
those that begin with ``#`` are skipped. Lines that cannot be used are named and left out.
"""

from __future__ import annotations

import logging
import random
from functools import cached_property
from pathlib import Path
from typing import Any

from pydantic import Field

from benchmarks.worlds._yours_attempt import begin
from benchmarks.worlds._yours_file import Line, read
from benchmarks.worlds._yours_judging import Judge
from instar.contracts import Episode
from instar.errors import UserError
from instar.types import Record, Split, Task, content_hash
from tools.browser import Browser

__all__ = ["Yours"]

_LOG = logging.getLogger(__name__)
_DEALT = (Split.PRACTISE, Split.PRACTISE, Split.GATE, Split.HELD_OUT)


class Yours:
    """Tasks from a file, each with its own way to tell how it went."""

    id = "yours"

    class Config(Record):
        """Settings.

        Attributes:
            file: The tasks; by default those in the current folder.
            seconds: How long judging an attempt may take, where a task does not say.
        """

        file: Path = Path("tasks.jsonl")
        seconds: float = Field(60.0, gt=0)

    def __init__(self, config: Config | None = None, **settings: Any) -> None:
        self.config = config or self.Config(**settings)
        self.namespace = f"{self.id}/{self.config.file.stem}"
        self._home = self.config.file.resolve().parent
        self._browser = Browser()

    @cached_property
    def _tasks(self) -> list[Task]:
        """All tasks of the file; lines that cannot be used are named once in the log."""
        lines, problems = read(self.config.file)
        if problems:
            told = "".join(f"\n  {problem}" for problem in problems)
            _LOG.warning(
                "%s: %d of its lines cannot be used and are left out, %d tasks remain.%s",
                self.config.file,
                len(problems),
                len(lines),
                told,
            )
        return [self._task(line) for line in lines]

    def _task(self, line: Line) -> Task:
        digits = content_hash([self.namespace, line.key], 4)
        dealt = _DEALT[int(digits, 16) % len(_DEALT)]
        return Task(
            id=f"{self.namespace}/{line.key}",
            instruction=line.instruction,
            world=self.id,
            namespace=self.namespace,
            group=line.family,
            family=line.family,
            parents=line.parents,
            params=line.definition(),
            split=dealt if line.split == "hash" else Split(line.split),
        )

    def tasks(self, split: Split, n: int, seed: int) -> list[Task]:
        """At most ``n`` distinct tasks of a split, in the order of the file.

        Raises:
            UserError: There is no file, or nothing in it can be used.
        """
        found = [t for t in self._tasks if t.split == split]
        if len(found) <= n:
            return found
        rng = random.Random(f"{self.namespace} {split} {seed}")
        return [found[i] for i in sorted(rng.sample(range(len(found)), n))]

    def judges(self, task: Task) -> bool:
        """Whether an attempt at a task can be judged as soon as it is over."""
        return Line.model_validate(task.params).judged

    async def open(self, task: Task, seed: int) -> Episode:
        """Begin an attempt.

        Raises:
            UserError: The task is of another file or world.
            EpisodeFault: What it needs is not there.
        """
        if task.namespace != self.namespace:
            raise UserError(
                f"Task {task.id} belongs to {task.namespace}; this is {self.namespace}."
            )
        line = Line.model_validate(task.params)
        judge = Judge(task, line, self._home, self.config.seconds)
        return await begin(line, judge, self._home, self._browser, seed)

    async def close(self) -> None:
        """Stop the browser, if it was ever needed."""
        await self._browser.close()
