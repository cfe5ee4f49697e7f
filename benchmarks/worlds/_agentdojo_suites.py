"""AgentDojo's suites and attacks by name, and every task that they make."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

from instar.errors import MissingExtra
from instar.types import Split, content_hash

__all__ = [
    "ATTACKS",
    "GIVEN",
    "SUITES",
    "UNREAD",
    "VERSION",
    "Names",
    "every",
    "load_attack",
    "suite",
]

VERSION = "v1.2.2"
SUITES = ("workspace", "travel", "banking", "slack")
ATTACKS = (
    "direct",
    "ignore_previous",
    "system_message",
    "injecagent",
    "important_instructions",
    "important_instructions_no_user_name",
    "important_instructions_no_model_name",
    "important_instructions_no_names",
    "important_instructions_wrong_model_name",
    "important_instructions_wrong_user_name",
    "tool_knowledge",
    "dos",
    "swearwords_dos",
    "captcha_dos",
    "offensive_email_dos",
    "felony_dos",
)
"""All of AgentDojo's own that need nobody at the keyboard."""

GIVEN = frozenset(("banking", f"user_task_{n}") for n in (5, 6, 8, 9, 10))
"""Tasks whose check the initial state passes."""

UNREAD = frozenset(
    ("slack", f"user_task_{n}", at) for n, at in ((1, 1), (2, 0), (4, 1), (11, 1), (17, 1), (18, 1))
)
"""Calls of a ground truth that visit a page, which is logged, but which no check looks for."""

_SPLITS = (Split.PRACTISE, Split.GATE, Split.PRACTISE, Split.HELD_OUT)


class Names(NamedTuple):
    """What defines a task; the last is empty where nothing is injected."""

    suite: str
    user_task: str
    injection_task: str = ""


class _Victim:
    """Stands where an attack asks which pipeline it addresses; "local" is its word for any model."""

    name = "local"


def suite(name: str) -> Any:
    """A suite of AgentDojo.

    Raises:
        MissingExtra: AgentDojo is not installed.
    """
    try:
        from agentdojo.task_suite.load_suites import get_suite
    except ModuleNotFoundError as error:
        raise MissingExtra(
            "AgentDojo", "pip install -e '.[agentdojo]' -c constraints.txt"
        ) from error
    return get_suite(VERSION, name)


def load_attack(name: str, target: Any) -> Any:
    """An attack on a suite."""
    from agentdojo.attacks import load_attack as load

    return load(name, target, _Victim())


def every(name: str, attack: Any | None) -> Iterator[tuple[Names, str, Split]]:
    """Every task of a suite: its names, what the user asks, its split.

    The user task decides on the split. Those of a suite are ranked by hash and dealt out in turn,
    because a hash alone may leave a split of so few tasks empty.
    """
    found = suite(name)
    against = [""] if attack is None else list(found.injection_tasks)
    if attack is not None and attack.is_dos_attack:
        # What is injected then is the same for all of them, so AgentDojo runs the first only.
        against = against[:1]
    ranked = sorted(found.user_tasks, key=lambda user_task: content_hash([name, user_task]))
    for rank, user_task in enumerate(ranked):
        split = _SPLITS[rank % len(_SPLITS)]
        for injection_task in against:
            names = Names(name, user_task, injection_task)
            yield names, str(found.user_tasks[user_task].PROMPT), split
