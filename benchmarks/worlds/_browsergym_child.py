"""BrowserGym behind a pipe: one JSON line in, one JSON line out. Runs in an environment of its own.

This file imports nothing of Instar, because BrowserGym's pins exclude ours: it is started by the
interpreter of another virtual environment. Requests are ``{"id": 1, "do": "open", ...}``, answers
``{"id": 1, "ok": ...}`` or ``{"id": 1, "error": [kind, message]}`` with kind ``package``, ``server``
or ``fault``. Whatever libraries print goes to stderr, so that nothing but answers is on the pipe.
It ends when its input does, or when whoever started it is gone.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import os
import signal
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from typing import Any, TextIO

__all__: list[str] = []

_MOST_NODES = 20_000
_STATES = ("checked", "disabled", "selected", "expanded", "pressed")


def _watch(parent: int) -> None:
    """End at once, with the browser's driver, when the parent is gone in the middle of a request."""
    while os.getppid() == parent:
        time.sleep(0.5)
    os.killpg(0, signal.SIGKILL)


def _use_chromium(path: str) -> None:
    """Launch this Chromium wherever Playwright has no download of its own.

    BrowserGym launches twice, for the page and for its chat window, and hands its options to the
    first only; so the launch itself is told.
    """
    kind = importlib.import_module("playwright.sync_api").BrowserType
    launch = kind.launch

    def patched(self: Any, **options: Any) -> Any:
        if not os.path.exists(self.executable_path):  # noqa: PTH110 - a str of Playwright's
            options.setdefault("executable_path", path)
        return launch(self, **options)

    kind.launch = patched


def _value(field: Any) -> str:
    found = field.get("value") if isinstance(field, dict) else None
    return "" if found is None else str(found)


def _states(node: dict[str, Any]) -> dict[str, str]:
    found = {p.get("name"): _value(p.get("value")).lower() for p in node.get("properties") or ()}
    return {s: found[s] for s in _STATES if found.get(s) not in (None, "", "undefined")}


def _nodes(tree: dict[str, Any], extra: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The accessibility tree, parents before children; repetitions of text by line are left out."""
    nodes = {n["nodeId"]: n for n in tree["nodes"]}
    stack = [(tree["nodes"][0]["nodeId"], 0)] if tree["nodes"] else []
    seen: set[str] = set()
    while stack and len(seen) < _MOST_NODES:
        key, depth = stack.pop()
        node = nodes.get(key)
        if node is None or key in seen:
            continue
        seen.add(key)
        role = _value(node.get("role"))
        if role == "InlineTextBox":
            continue
        bid = node.get("browsergym_id") or ""
        yield {
            "depth": depth,
            "role": role,
            "name": _value(node.get("name")),
            "value": _value(node.get("value")),
            "bid": bid,
            "clickable": bool(extra.get(bid, {}).get("clickable")),
            "states": _states(node),
        }
        stack += [(c, depth + 1) for c in reversed(node.get("childIds") or ())]


def _told(messages: Any) -> list[str]:
    """What the task said to the agent after its goal."""
    said = [str(m.get("message", "")) for m in messages if m.get("role") == "user"]
    return said[1:]


def _seen(obs: dict[str, Any]) -> dict[str, Any]:
    active = int(obs["active_page_index"][0])
    return {
        "title": str(obs["open_pages_titles"][active]),
        "url": str(obs["url"]),
        "tabs": [str(t) for t in obs["open_pages_titles"]],
        "tab": active,
        "told": _told(obs["chat_messages"]),
        "nodes": list(_nodes(obs["axtree_object"], obs["extra_element_properties"])),
    }


def _goal(obs: dict[str, Any]) -> str:
    """The goal's texts; a picture in it is named as one."""
    parts = [str(g["text"]) if g.get("type") == "text" else "[picture]" for g in obs["goal_object"]]
    return "\n".join(parts).strip()


class Refusal(Exception):
    """Something is missing that the user has to bring: a package or a server."""


class Gym:
    """One environment at a time."""

    def __init__(self) -> None:
        self.env: Any = None
        self.modules: set[str] = set()

    def load(self, package: str) -> None:
        """Import a benchmark, which registers its tasks."""
        if package in self.modules:
            return
        try:
            importlib.import_module("browsergym.core")
            importlib.import_module(package)
        except ImportError as error:
            raise Refusal("package", f"{error}") from error
        chromium = os.environ.get("INSTAR_CHROMIUM")
        if chromium and not self.modules:
            _use_chromium(chromium)
        self.modules.add(package)

    def tasks(self, package: str, prefix: str, servers: list[str]) -> list[str]:
        """Ids of the registered tasks of a benchmark whose servers answer."""
        for name in servers:
            _reach(name, name if "://" in name else os.environ.get(name, ""))
        self.load(package)
        registry = importlib.import_module("gymnasium").registry
        return sorted(i for i in registry if i.startswith(f"browsergym/{prefix}."))

    def open(
        self, package: str, task: str, seed: int, subsets: list[str], options: dict[str, Any]
    ) -> dict[str, Any]:
        """Start a task: its goal and the first observation."""
        self.load(package)
        self.close()
        actions = importlib.import_module("browsergym.core.action.highlevel").HighLevelActionSet
        self.env = importlib.import_module("gymnasium").make(
            task,
            disable_env_checker=True,
            action_mapping=actions(subsets=subsets, multiaction=False).to_python_code,
            **options,
        )
        obs, _ = self.env.reset(seed=seed)
        return {"goal": _goal(obs), **_seen(obs)}

    def step(self, action: str) -> dict[str, Any]:
        """Act once."""
        obs, reward, terminated, truncated, info = self.env.step(action)
        found = info.get("task_info") or {}
        raw = found.get("RAW_REWARD_GLOBAL")
        return {
            "error": str(obs["last_action_error"] or ""),
            "reward": float(reward),
            "raw": None if raw is None else float(raw),
            "done": bool(terminated or truncated),
            **_seen(obs),
        }

    def close(self) -> bool:
        """Close the browser."""
        env, self.env = self.env, None
        if env is not None:
            env.close()
        return True


def _reach(name: str, address: str) -> None:
    try:
        urllib.request.urlopen(address, timeout=10).close()
    except urllib.error.HTTPError:
        return  # a server that refuses is a server
    except (OSError, ValueError) as error:
        raise Refusal("server", f"{name}={address} does not answer: {error}") from error


def _answer(gym: Gym, request: dict[str, Any]) -> dict[str, Any]:
    id, do = request.pop("id", None), request.pop("do", "")
    try:
        if do not in ("tasks", "open", "step", "close"):
            raise ValueError(f"no request {do!r}")
        return {"id": id, "ok": getattr(gym, do)(**request)}
    except Refusal as refusal:
        return {"id": id, "error": list(refusal.args)}
    except Exception as error:  # noqa: BLE001 - the boundary: whatever BrowserGym raises is told
        return {"id": id, "error": ["fault", f"{type(error).__name__}: {error}"[:2000]]}


def _private_pipe() -> tuple[TextIO, TextIO]:
    """The pipe for ourselves; printing goes to stderr and reading finds nothing."""
    requests, answers = os.fdopen(os.dup(0), "r"), os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    with open(os.devnull) as nothing:  # noqa: PTH123 - nothing but the standard library's oldest
        os.dup2(nothing.fileno(), 0)
    return requests, answers


def main() -> None:
    """Answer until the input ends."""
    requests, answers = _private_pipe()
    threading.Thread(target=_watch, args=(os.getppid(),), daemon=True).start()
    gym = Gym()
    for line in requests:
        print(json.dumps(_answer(gym, json.loads(line))), file=answers, flush=True)
    with contextlib.suppress(Exception):
        gym.close()


if __name__ == "__main__":
    main()
