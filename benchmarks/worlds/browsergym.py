"""MiniWoB++, WebArena, VisualWebArena, WorkArena or AssistantBench by way of BrowserGym.

BrowserGym's pins exclude ours, so it runs in a virtual environment of its own, as a child process
that speaks JSON lines; its observations come in the form of our browser tool, its actions as typed
tools. Set up, here for MiniWoB++:

    python3 -m venv .venv-browsergym
    .venv-browsergym/bin/pip install browsergym-core browsergym-miniwob
    .venv-browsergym/bin/playwright install chromium
    export INSTAR_BROWSERGYM_PYTHON=$PWD/.venv-browsergym/bin/python
    instar bench run browsergym --arms base --n 20

Another benchmark: ``pip install browsergym-webarena`` (or -visualwebarena, -workarena,
-assistantbench) there, its servers' addresses in the environment variables that it reads, and
``-o methods.browsergym.task=webarena``; what is missing is named. Only MiniWoB++ has been run by
us. What a task asks for is known only after it was started, so listing tasks starts each of them
once, which takes seconds a task. Success is a reward of 1; BrowserGym gives that in MiniWoB++ for
any raw reward above 0, and here it takes the full one.
"""

from __future__ import annotations

import os
import random
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import Field, JsonValue

from benchmarks.worlds._browsergym_hands import Hands
from benchmarks.worlds._browsergym_pipe import Child, Children, Refused
from benchmarks.worlds._browsergym_sites import BENCHMARKS, Site
from instar.contracts import Episode, Toolset
from instar.errors import MissingExtra, UnknownName, UserError
from instar.types import Record, Result, Score, Split, Status, Task, content_hash

__all__ = ["BrowserGym"]

VARIABLE = "INSTAR_BROWSERGYM_PYTHON"
_CHILD = Path(__file__).with_name("_browsergym_child.py")
_SUBSETS = ("bid", "coord", "nav", "tab", "chat", "infeas")
_SPLITS = (Split.PRACTISE, Split.PRACTISE, Split.GATE, Split.HELD_OUT)


def _split(task: str, seed: int) -> Split:
    return _SPLITS[int(content_hash([task, seed], 4), 16) % len(_SPLITS)]


class _Attempt:
    """An attempt at one task."""

    def __init__(self, children: Children, child: Child, hands: Hands, site: Site) -> None:
        self._children, self._child, self._hands = children, child, hands
        self._answers = site.answers
        self._open = True
        self.toolset: Toolset = hands

    async def observe(self) -> str:
        return self._hands.text

    def done(self) -> bool:
        return self._hands.done

    async def finish(self, answer: str) -> Result:
        if self._hands.done or not self._answers:
            return Result(text="finished")
        return await self._hands.call("answer", {"text": answer})

    async def score(self) -> Score:
        hands = self._hands
        reward = hands.reward if hands.raw is None else max(0.0, hands.raw)
        passed = hands.done and reward >= 1
        metrics = {"reward": hands.reward} if hands.done else {}
        if hands.done and hands.raw is not None:
            metrics |= {"raw": hands.raw, "partial": min(1.0, reward)}
        return Score(
            status=Status.PASS if passed else Status.FAIL,
            value=float(passed),
            evidence=f"reward {reward:g}" if hands.done else "the task was not ended",
            metrics=metrics,
        )

    async def close(self) -> None:
        if self._open:
            self._open = False
            self._children.release(self._child)


class BrowserGym:
    """Other people's web benchmarks, in an environment of their own."""

    id = "browsergym"

    class Config(Record):
        """Settings.

        Attributes:
            python: Interpreter of BrowserGym's environment; by default the one that the variable
                ``INSTAR_BROWSERGYM_PYTHON`` names.
            task: A benchmark, or part of one: ``miniwob``, ``miniwob.click-test``, ``webarena.310``.
            seconds: How long BrowserGym may take for one action or to start a task.
            at_once: Episodes at the same time, each with a browser of its own; others wait.
            budget: Tokens of an observation.
            options: What BrowserGym's environment is made with, such as ``pre_observation_delay``.
        """

        python: str = ""
        task: str = "miniwob"
        seconds: float = Field(180.0, gt=0)
        at_once: int = Field(2, ge=1)
        budget: int = Field(600, ge=50)
        options: dict[str, JsonValue] = Field(default_factory=dict)

    def __init__(self, config: Config | None = None, **settings: Any) -> None:
        self.config = config or self.Config(**settings)
        name = self.config.task.partition(".")[0]
        if name not in BENCHMARKS:
            raise UnknownName("BrowserGym benchmark", name, BENCHMARKS)
        self.benchmark, self.site = name, BENCHMARKS[name]
        self.namespace = f"{self.id}/{name}"
        self._made: Children | None = None
        self._goals: dict[tuple[str, int], str] = {}

    def tasks(self, split: Split, n: int, seed: int) -> list[Task]:
        """At most ``n`` distinct tasks of a split, kinds in equal shares; starts each once.

        Raises:
            MissingExtra: BrowserGym, the benchmark's package or a browser is not installed.
            UserError: A server or a setting is missing.
            EpisodeFault: A task does not start.
        """
        children = self._children()
        child = children.one()
        try:
            chosen = self._choose(self._names(child), split, n, seed)
            for name, k in chosen:
                if (name, k) not in self._goals:
                    self._goals[name, k] = str(child.ask("open", **self._start(name, k))["goal"])
            return [self._task(name, k) for name, k in chosen]
        except Refused as refused:
            raise self._explain(refused) from refused
        finally:
            children.back(child)

    def _names(self, child: Child) -> list[str]:
        """Registered tasks that the setting asks for."""
        servers = list(self.site.servers)
        known: list[str] = child.ask(
            "tasks", package=self.site.package, prefix=self.benchmark, servers=servers
        )
        wanted = f"{self.id}/{self.config.task}"
        found = [name for name in known if name == wanted or name.startswith(f"{wanted}.")]
        if not found:
            names = [name.removeprefix(f"{self.id}/") for name in known]
            raise UnknownName("BrowserGym task", self.config.task, names)
        return found

    def _choose(
        self, names: list[str], split: Split, n: int, seed: int
    ) -> dict[tuple[str, int], None]:
        rng = random.Random(f"{self.namespace} {split} {seed}")
        rng.shuffle(names)
        chosen: dict[tuple[str, int], None] = {}
        for attempt in range(n * 100 + len(names) * 2):
            if len(chosen) == n:
                break
            key = (names[attempt % len(names)], rng.randrange(self.site.seeds))
            if _split(*key) == split:
                chosen.setdefault(key)
        return chosen

    def _task(self, name: str, seed: int) -> Task:
        short = name.removeprefix(f"{self.id}/{self.benchmark}.")
        kind = re.sub(r"[._-]?\d+$", "", short) if self.site.seeds == 1 else short
        return Task(
            id=f"bg-{content_hash([name, seed])}",
            instruction=self._goals[name, seed],
            world=self.id,
            namespace=self.namespace,
            group=kind or self.benchmark,
            family=kind or self.benchmark,
            params={"task": name, "seed": seed},
            split=_split(name, seed),
        )

    async def open(self, task: Task, seed: int) -> Episode:
        """Begin an attempt; waits while too many are running.

        Raises:
            UserError: The task is not of this world, or something it needs is missing.
            EpisodeFault: BrowserGym does not start it.
        """
        if task.namespace != self.namespace:
            raise UserError(
                f"Task {task.id} belongs to {task.namespace}; this is {self.namespace}."
            )
        children = self._children()
        child = await children.take()
        try:
            start = self._start(str(task.params["task"]), int(str(task.params["seed"])))
            seen = await child.asked("open", **start)
            hands = Hands(child, seen, self.site.tools, self.config.budget)
        except Refused as refused:
            children.release(child)
            raise self._explain(refused) from refused
        except BaseException:
            children.release(child)
            raise
        return _Attempt(children, child, hands, self.site)

    def _start(self, name: str, seed: int) -> dict[str, Any]:
        return {
            "package": self.site.package,
            "task": name,
            "seed": seed,
            "subsets": list(_SUBSETS),
            "options": self.config.options,
        }

    def _children(self) -> Children:
        if self._made is None:
            python, environment = self._python(), self._environment()
            # -I: no PYTHONPATH of ours, and not the folder of the script, where this file would
            # be found as `browsergym`.
            command = [python, "-I", str(_CHILD)]
            limit, seconds = self.config.at_once, self.config.seconds
            self._made = Children(command, environment, seconds, limit)
        return self._made

    def _python(self) -> str:
        named = self.config.python or os.environ.get(VARIABLE, "")
        if not named:
            remedy = (
                "python3 -m venv .venv-browsergym && .venv-browsergym/bin/pip install "
                f"{self.site.install.replace('PYTHON', '.venv-browsergym/bin/python')} && "
                f"export {VARIABLE}=$PWD/.venv-browsergym/bin/python"
            )
            raise MissingExtra("BrowserGym (in an environment of its own)", remedy)
        if not os.access(named, os.X_OK) or Path(named).is_dir():
            raise UserError(
                f"{named} is no Python; set {VARIABLE} to that of BrowserGym's environment"
            )
        return named

    def _environment(self) -> Mapping[str, str]:
        missing = [name for name in self.site.needs if not os.environ.get(name)]
        if missing:
            raise UserError(
                f"{self.benchmark} needs servers of its own. Set {', '.join(missing)} to theirs."
            )
        kept = {k: v for k, v in os.environ.items() if not k.startswith("PYTHON")}
        return {**kept, **_chromium(), **(_pages() if self.benchmark == "miniwob" else {})}

    def _explain(self, refused: Refused) -> UserError:
        if refused.kind == "server":
            return UserError(f"{self.benchmark}: {refused.message[:300]}. Start it, or mend this.")
        python = self._python()
        install = self.site.install.replace("PYTHON", python)
        return MissingExtra(
            f"{self.site.package} ({refused.message[:100]})", f"{python} -m pip install {install}"
        )

    async def close(self) -> None:
        """End the child processes and their browsers."""
        if self._made is not None:
            self._made.end()
            self._made = None


def _chromium() -> dict[str, str]:
    """The Chromium that we would use, for a Playwright over there that has none of its own."""
    from tools.chromium import VARIABLE as CHROMIUM
    from tools.chromium import find_chromium

    try:
        return {CHROMIUM: str(find_chromium())}
    except MissingExtra:
        return {}


def _pages() -> dict[str, str]:
    """Where MiniWoB++'s pages are, unless somebody has said so."""
    from benchmarks.worlds._miniwob_pages import folder

    named = os.environ.get("MINIWOB_URL")
    return {"MINIWOB_URL": named or f"{(folder() / 'miniwob').as_uri()}/"}
