"""Sessions of an agent at work, recorded by `instar serve`, whose outcomes are told when all are over."""

from __future__ import annotations

import contextlib
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import httpx
from instar_client import Client

from benchmarks.runner import bounded
from benchmarks.studies._beside_agents import running
from instar._unmeasured import unmeasured
from instar.compose import Serving, Workspace
from instar.config import Config
from instar.errors import UserError
from instar.progress import Progress
from instar.service.door import Door
from instar.store import Store
from instar.types import Score, Split, Status, Task

__all__ = ["record"]

_SECONDS = 60.0
_AT_ONCE = 4
_PAUSE = 0.2


class _Ended(NamedTuple):
    """A session that is over: who can tell its outcome, and what it is."""

    place: str
    score: Score


async def record(agent: str, config: Config, out: Path, progress: Progress) -> None:
    """Let an agent work as in production, then report how its sessions went; once a workspace.

    Args:
        agent: One of `benchmarks.studies._beside_agents.AGENTS`.
        config: Of the workspace that records; ``practise.tasks`` says how many sessions.
        out: Folder for what the agent needs, and for the house in which it works.
        progress: Told of what is done.
    """
    if (config.workspace / "instar.db").is_file() and _told(config):
        return
    with _served(config) as service, running(agent, service, out) as url:
        apart = config.model_copy(update={"workspace": out / f"{config.workspace.name}_office"})
        async with Workspace.open(apart) as office:
            ended = await _work(office, url, progress)
        _report(ended, service, url)
        _wait(config, len(ended))
    progress.say(f"{len(ended)} outcomes were reported, all after the last session.")


def _wait(config: Config, wanted: int) -> None:
    """Wait until all outcomes have arrived: an agent sends them behind its own back."""
    until = time.monotonic() + _SECONDS
    while len(_told(config)) < wanted:
        if time.monotonic() > until:
            raise UserError(f"Only {len(_told(config))} of {wanted} outcomes arrived.")
        time.sleep(_PAUSE)


def _told(config: Config) -> list[str]:
    """Sessions whose outcome is known."""
    with Store.open(config.workspace / "instar.db", create=False) as store:
        lived = store.trajectories(purpose="live")
    return [t.id for t in lived if t.score.status is not Status.UNKNOWN]


@contextlib.contextmanager
def _served(config: Config) -> Iterator[str]:
    """`instar serve` over the workspace; its URL."""
    command = [sys.executable, "-m", "instar.cli", "serve", "--port", "0"]
    command += ["--workspace", str(config.workspace), "-o", f"seed={config.seed}"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        try:
            assert process.stderr is not None
            said = process.stderr.readline()
            found = re.search(r"http://[\d.:]+", said)
            if found is None:
                raise UserError(f"instar serve did not start: {said}")
            yield found[0]
        finally:
            process.terminate()


async def _work(office: Workspace, url: str, progress: Progress) -> list[_Ended]:
    """One session for each task; its episode is a back office that knows nothing of sessions."""
    count = office.config.practise.tasks
    tasks = office.home.tasks(Split.PRACTISE, count, office.config.seed)
    door, ended = Door(office), list[_Ended]()
    address = await door.url()
    with progress.stage("sessions", len(tasks)) as tally:
        async with httpx.AsyncClient(timeout=_SECONDS) as http:

            async def work(task: Task) -> None:
                episode = await office.home.open(task, 0)
                opened = unmeasured(office, task, 0, Serving(generation="none"), "live", "")
                attempt = await door.attempts.open(
                    opened, episode, None, office.config.agent.max_steps
                )
                asked = {
                    "instruction": task.instruction,
                    "tools_url": door.tools(address, attempt),
                }
                said = (await http.post(url, json=asked)).raise_for_status().json()
                door.attempts.close(attempt)
                if not episode.done():
                    await episode.finish(said["answer"])
                score = await episode.score()
                ended.append(_Ended(said.get("session") or said["ticket"], score))
                tally.add(score.status)

            await bounded(tasks, work, _AT_ONCE)
    await door.close()
    return ended


def _report(ended: list[_Ended], service: str, url: str) -> None:
    """Say how each session went, now that all are over: to the service, or as a rating to the desk."""
    client = Client(service, budget=_SECONDS)
    with httpx.Client(timeout=_SECONDS) as http:
        for one in ended:
            if one.place.startswith("s-"):
                session = client.resume(one.place)
                session.outcome(one.score.status, source="program", reason=one.score.evidence)
            else:
                solved = {"solved": one.score.status is Status.PASS}
                where = url.replace("/solve", f"/tickets/{one.place}/rating")
                http.post(where, json=solved).raise_for_status()
    client.close(_SECONDS)
