"""Our episodes as the environments that TRL's GRPO trainer plays in.

TRL wants a class whose public methods are the tools, with typed signatures and documented arguments,
``reset`` and ``get_reward``. So a class is made of the tool schemas of the rows; its methods are
coroutines, which TRL runs in a loop of its own, and there each episode is opened, acted in and
judged, so that nothing of it is ever touched from two loops.
"""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, TypeAlias

from instar.contracts import Episode
from instar.errors import EpisodeFault, UserError

__all__ = ["LiveEpisode", "OpenEpisode", "environment"]

OpenEpisode: TypeAlias = Callable[[Mapping[str, Any], int], Awaitable[Episode]]
"""Opens an episode at the task of a row, with a seed."""

_TYPES = {"string": str, "integer": int, "number": float, "boolean": bool, "array": list}
_TAKEN = frozenset({"reset", "get_reward"})
_OVER = "the episode has ended"


class LiveEpisode:
    """One episode after another; the tools are added by `environment`."""

    _open: OpenEpisode

    def __init__(self) -> None:
        self._row: Mapping[str, Any] = {}
        self._episode: Episode | None = None

    def reset(self, **row: Any) -> None:
        """Take the next task; it is opened by the first call, in the loop of the calls."""
        self._row = row

    async def get_reward(self) -> float | None:
        """The world's score of the final state; None where it could not be judged."""
        try:
            episode = await self._live()
            score = await episode.score()
            await episode.close()
        except EpisodeFault:
            return None
        finally:
            self._episode = None
        return score.value

    async def _call(self, name: str, arguments: Mapping[str, Any]) -> str:
        episode = await self._live()
        if episode.done():
            return _OVER
        if name == "finish":
            answer = " ".join(str(value) for value in arguments.values())
            return (await episode.finish(answer)).text
        return (await episode.toolset.call(name, arguments)).text

    async def _live(self) -> Episode:
        if self._episode is None:
            self._episode = await self._open(self._row, int(self._row["seed"]))
        return self._episode


def environment(schemas: Sequence[Mapping[str, Any]], opened: OpenEpisode) -> type[LiveEpisode]:
    """The class of the environments over a set of tools.

    Args:
        schemas: Of the tools, in OpenAI's form.
        opened: Opens an episode.

    Raises:
        UserError: A tool has a name that TRL has taken.
    """
    tools = {s["function"]["name"]: _tool(s["function"]) for s in schemas}
    taken = sorted(name for name in tools if name in _TAKEN or name.startswith("_"))
    if taken:
        raise UserError(f"The trainer grpo cannot offer a tool called {taken[0]}: rename it.")
    return type("LiveEpisode", (LiveEpisode,), {**tools, "_open": staticmethod(opened)})


def _tool(schema: Mapping[str, Any]) -> Callable[..., Awaitable[str]]:
    """A method with the signature and the docstring that TRL makes the schema of again."""
    name, shape = schema["name"], schema.get("parameters") or {}
    properties = shape.get("properties") or {}
    required = set(shape.get("required", properties))
    types = {key: _TYPES.get(given.get("type", "string"), str) for key, given in properties.items()}

    async def call(self: LiveEpisode, **arguments: Any) -> str:
        return await self._call(name, arguments)

    kind = inspect.Parameter.POSITIONAL_OR_KEYWORD
    parameters = [inspect.Parameter("self", kind)]
    for key in sorted(properties, key=lambda key: key not in required):
        default = inspect.Parameter.empty if key in required else None
        parameters.append(inspect.Parameter(key, kind, default=default, annotation=types[key]))
    call.__name__ = call.__qualname__ = name
    call.__doc__ = _documented(schema, properties)
    call.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    call.__annotations__ = types
    return call


def _documented(schema: Mapping[str, Any], properties: Mapping[str, Any]) -> str:
    told = " ".join((schema.get("description") or schema["name"]).split())
    if not properties:
        return told
    lines = [
        f"    {key}: {' '.join((given.get('description') or key).split())}"
        for key, given in properties.items()
    ]
    return "\n".join([told, "", "Args:", *lines])
