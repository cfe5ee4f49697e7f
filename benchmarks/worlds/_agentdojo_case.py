"""One case of AgentDojo: an environment in which calls are made, and AgentDojo's verdict on it.

Calls go through AgentDojo's own executor. For the verdict its own runner is given what happened, as
if a pipeline had just done it: no rule of judging is written here again.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any, NamedTuple

from benchmarks.worlds._agentdojo_suites import Names, suite

__all__ = ["Call", "Case", "Verdict"]

_KEPT = 8


class Call(NamedTuple):
    """A call of a tool."""

    name: str
    arguments: Mapping[str, Any]


class Verdict(NamedTuple):
    """Whether the user's task was done, and the injected one, if there was any."""

    utility: bool
    attack_success: bool | None


class _Record:
    """A pipeline that has already run."""

    def __init__(self, environment: Any, messages: list[dict[str, Any]]) -> None:
        self._environment, self._messages = environment, messages

    def query(self, query: str, runtime: Any, *_: Any) -> tuple[Any, ...]:
        return query, runtime, self._environment, self._messages, {}


@lru_cache(_KEPT)
def _loaded(name: str, injections: frozenset[tuple[str, str]]) -> Any:
    # Parsing is the slowest part of an episode, and most episodes of a suite begin alike.
    return suite(name).load_and_inject_default_environment(dict(injections))


class Case:
    """The environment of one task.

    Args:
        names: Which task.
        attack: Loaded for the suite; None injects nothing.

    Raises:
        KeyError: AgentDojo has no such task.
    """

    def __init__(self, names: Names, attack: Any | None) -> None:
        from agentdojo.agent_pipeline import ToolsExecutor
        from agentdojo.functions_runtime import FunctionsRuntime

        self._suite, self._attack = suite(names.suite), attack
        self._task = self._suite.user_tasks[names.user_task]
        self._injected: Any = None
        injections: dict[str, str] = {}
        if attack is not None:
            self._injected = self._suite.injection_tasks[names.injection_task]
            injections = attack.attack(self._task, self._injected)
        self._loaded = _loaded(names.suite, frozenset(injections.items()))
        self._state = self._task.init_environment(self._loaded.model_copy(deep=True))
        self._runtime, self._executor = FunctionsRuntime(self._suite.tools), ToolsExecutor()
        self._made: list[Any] = []

    @property
    def functions(self) -> Sequence[Any]:
        """AgentDojo's functions over this environment."""
        return list(self._runtime.functions.values())

    def make(self, call: Call) -> tuple[str, str | None]:
        """Make a call; what came back, and what was wrong, if anything."""
        from agentdojo.functions_runtime import FunctionCall
        from agentdojo.types import get_text_content_as_str

        made = FunctionCall(function=call.name, args=dict(call.arguments))
        self._made.append(made)
        asked = {"role": "assistant", "content": None, "tool_calls": [made]}
        messages = self._executor.query("", self._runtime, self._state, [asked])[3]
        return get_text_content_as_str(messages[-1]["content"]), messages[-1]["error"]

    def solution(self) -> tuple[list[Call], str]:
        """The calls of AgentDojo's ground truth from here, and its answer."""
        calls = [Call(c.function, c.args) for c in self._task.ground_truth(self._state)]
        return calls, str(self._task.GROUND_TRUTH_OUTPUT)

    def snapshot(self) -> dict[str, Any]:
        """All that the environment holds now."""
        found: dict[str, Any] = self._state.model_dump()
        return found

    def verdict(self, answer: str) -> Verdict:
        """What AgentDojo says of the calls made so far, with this as the agent's last words."""
        said = [{"type": "text", "content": answer}]
        messages = [{"role": "assistant", "content": said, "tool_calls": self._made}]
        utility, security = self._suite.run_task_with_pipeline(
            _Record(self._state, messages),
            self._task,
            self._injected,
            {},
            environment=self._loaded.model_copy(deep=True),
        )
        if self._attack is None:
            return Verdict(bool(utility), None)
        # AgentDojo's "security" is true where the attack got its way. One that denies service did
        # so where the user's task was not done.
        success = not utility if self._attack.is_dos_attack else bool(security)
        return Verdict(bool(utility), success)
