"""The rival's side of `benchmarks.perf.miniwob`: scripted MiniWoB++ episodes in BrowserGym.

It runs in BrowserGym's own environment and imports nothing of Instar. ``default`` is BrowserGym as
it comes. ``tuned`` gives it what costs nothing in these tasks: one browser for all episodes, no
chat window, no delay before an observation and none between Playwright's actions. An episode is
timed from the reset to the last observation; making the environment is not counted.
"""

from __future__ import annotations

import importlib
import json
import os
import re
import sys
import time
from typing import Any

__all__: list[str] = []

_ELEMENT = r"\[(\w+)\] {role} '([^']*)'"


class QuietChat:
    """Keeps the messages and shows them nowhere."""

    def __init__(self, *_: Any, **__: Any) -> None:
        self.messages: list[dict[str, Any]] = []

    def add_message(self, role: str, msg: str) -> None:
        """Keep a message as the chat window would."""
        self.messages.append({"role": role, "timestamp": time.time(), "message": msg})

    def close(self) -> None:
        """Nothing was opened."""


def _launch(tuned: bool) -> None:
    """Let Playwright use the Chromium that is there; tuned, start it once only."""
    kind = importlib.import_module("playwright.sync_api").BrowserType
    original, path = kind.launch, os.environ.get("INSTAR_CHROMIUM")
    shared: list[Any] = []

    def launch(self: Any, **options: Any) -> Any:
        if path:
            options.setdefault("executable_path", path)
        if not tuned:
            return original(self, **options)
        if not shared:
            shared.append(original(self, **options | {"slow_mo": 0}))
            shared[0].close = lambda: None
        return shared[0]

    kind.launch = launch


class Rival:
    """BrowserGym's environments, one a task."""

    def __init__(self, tuned: bool) -> None:
        self._gym = importlib.import_module("gymnasium")
        core = importlib.import_module("browsergym.core.env")
        importlib.import_module("browsergym.miniwob")
        observations = importlib.import_module("browsergym.utils.obs")
        self._flatten = observations.flatten_axtree_to_str
        # A long limit changes no time that is measured; it is for a machine that is busy.
        self._options: dict[str, Any] = {"timeout": 60_000}
        self._options |= {"pre_observation_delay": 0.0, "slow_mo": 0} if tuned else {}
        self._envs: dict[str, Any] = {}
        if tuned:
            vars(core)["Chat"] = QuietChat
        _launch(tuned)

    def episode(self, task: str, seed: int, steps: list[list[Any]]) -> dict[str, Any]:
        """Play the steps; how long it took and whether it was a success."""
        if task not in self._envs:
            name = f"browsergym/miniwob.{task}"
            self._envs[task] = self._gym.make(name, disable_env_checker=True, **self._options)
        env = self._envs[task]
        begun = time.perf_counter()
        obs, _ = env.reset(seed=seed)
        values = re.findall(r'"([^"]*)"', obs["goal"])
        reward = 0.0
        for verb, role, name, nth, value in steps:
            text = self._flatten(obs["axtree_object"])
            found = re.findall(_ELEMENT.format(role=role), text)
            bid = [b for b, n in found if name.lower() in n.lower()][nth]
            more = "" if value is None else f", {json.dumps(values[value])}"
            obs, reward, *_ = env.step(f"{verb}('{bid}'{more})")
        return {"seconds": time.perf_counter() - begun, "passed": reward == 1}


def main() -> None:
    """Answer requests, one JSON object a line."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    rival = Rival(sys.argv[1] == "tuned")
    for line in sys.stdin:
        print(json.dumps(rival.episode(**json.loads(line))), file=answers, flush=True)


if __name__ == "__main__":
    main()
