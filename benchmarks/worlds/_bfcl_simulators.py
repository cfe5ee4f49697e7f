"""The simulators of one BFCL entry at work, and the benchmark's verdict on a turn.

Calls run as in BFCL, with the same texts for results and exceptions, but by attribute and not by
evaluating strings. Two things differ. Each simulator is copied when it is loaded, because those of
the long-context category share records with each other and would carry one episode into the next.
And numbers with which the calculator would compute for hours are refused.
"""

from __future__ import annotations

import copy
import inspect
import json
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from benchmarks.worlds._bfcl_wheel import Call, Entry, check, simulator, specs

__all__ = ["Outcome", "Simulators", "objection"]

_LONG = "long_context"
_LARGEST = 10_000
_COSTLY = frozenset({"precision", "exponent", "decimal_places"})


class Outcome(NamedTuple):
    """What a call came to.

    Attributes:
        text: The result as BFCL writes it.
        error: Whether it failed.
        misuse: Whether the call itself was wrong.
    """

    text: str
    error: bool = False
    misuse: bool = False


class Simulators:
    """The simulators of an entry in the state it starts from.

    Attributes:
        instances: By class name.
    """

    def __init__(self, entry: Entry) -> None:
        self.instances = {name: _loaded(name, entry) for name in entry.simulators}
        self._owners = {spec.name: name for name in entry.simulators for spec in specs(name)}

    def call(self, name: str, arguments: Mapping[str, Any]) -> Outcome:
        """Call a documented function; whatever it raises is a text."""
        method = getattr(self.instances[self._owners[name]], name)
        # Simulators keep what they are given, and the caller keeps it too.
        given = copy.deepcopy(dict(arguments))
        if refusal := _refusal(given):
            return Outcome(refusal, error=True, misuse=True)
        try:
            result = method(**given)
            return Outcome(_text(result), error=isinstance(result, dict) and "error" in result)
        except Exception as error:  # noqa: BLE001  A simulator raises anything; it is a text in BFCL.
            text = f"Error during execution: {error}"
            return Outcome(text, error=True, misuse=not _fits(method, given))

    def run(self, calls: Sequence[Call]) -> list[str]:
        """The results of calls in a row."""
        return [self.call(call.name, call.arguments).text for call in calls]

    def differs(self, other: Simulators) -> str:
        """In which simulator the public state is another one; empty where it is the same."""
        try:
            return check("state_checker", self.instances, other.instances)
        except RecursionError:
            # A folder that was moved into itself cannot be compared, and is in no right answer.
            return "the state cannot be compared"


def objection(
    ours: Simulators,
    theirs: Simulators,
    made: int,
    results: list[str],
    expected: list[str],
    turn: int,
) -> str:
    """What is wrong after a turn by BFCL's rule, or nothing.

    Args:
        ours: Simulators of the attempt.
        theirs: Simulators that had the right calls.
        made: Calls made in this turn.
        results: What all calls so far came to, of earlier turns too.
        expected: What the right calls of this turn came to; a turn that expects none is right.
        turn: Index, for the message.
    """
    if not expected:
        return ""
    if not made:
        return "no call was made"
    return ours.differs(theirs) or check("response_checker", results, expected, turn)


def _loaded(name: str, entry: Entry) -> Any:
    found = simulator(name)()
    if hasattr(found, "_load_scenario"):
        config = copy.deepcopy(entry.config.get(name, {}))
        found._load_scenario(config, long_context=entry.category == _LONG)
    return copy.deepcopy(found)


def _text(result: Any) -> str:
    if isinstance(result, dict):
        try:
            return json.dumps(result)
        except (TypeError, ValueError):
            return str(result)
    return str(result)


def _fits(method: Any, arguments: Mapping[str, Any]) -> bool:
    try:
        inspect.signature(method).bind(**arguments)
    except TypeError:
        return False
    return True


def _refusal(arguments: Mapping[str, Any]) -> str:
    for name in _COSTLY & set(arguments):
        value = arguments[name]
        if isinstance(value, int | float) and abs(value) > _LARGEST:
            return f"Error during execution: {name} must not be beyond {_LARGEST}"
    return ""
