"""Somebody's own functions by dotted path: from what is installed, or from beside the task file."""

from __future__ import annotations

import importlib
import inspect
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from instar.contracts import Toolset
from instar.errors import EpisodeFault
from tools.functions import FunctionToolset, spec_of

__all__ = ["functions", "named", "toolset"]

_TAKEN = "finish"  # every agent has it already


def named(path: str, folder: Path) -> Callable[..., Any]:
    """The function at a dotted path.

    The folder is searched last, so nothing in it can take the place of an installed module.

    Raises:
        ValueError: There is none, or its module does not import.
    """
    module, _, name = path.replace(":", ".").rpartition(".")
    if not module:
        raise ValueError(f"{path} is no dotted path such as my_module.my_function")
    if str(folder) not in sys.path:
        sys.path.append(str(folder))
    try:
        found = importlib.import_module(module)
    except (Exception, SystemExit) as error:  # anybody's module
        raise ValueError(f"{module} does not import: {type(error).__name__}: {error}") from error
    function = getattr(found, name, None)
    if not callable(function):
        raise ValueError(f"no function {name} in {getattr(found, '__file__', module)}")
    made: Callable[..., Any] = function
    return made


def functions(tools: str | Iterable[str], folder: Path) -> list[Callable[..., Any]]:
    """The functions that a task names: the one that makes its toolset, or the tools themselves.

    Raises:
        ValueError: One does not exist, cannot be a tool, or has the name of another.
    """
    if isinstance(tools, str):
        return [named(tools, folder)]
    found: dict[str, Callable[..., Any]] = {}
    for path in tools:
        function = named(path, folder)
        try:
            name = spec_of(function).name
        except Exception as error:  # any annotation may fail in its own way
            raise ValueError(f"{path} cannot be a tool: {error}") from error
        if name in found or name == _TAKEN:
            raise ValueError(f"a tool named {name} is there already: rename {path}")
        found[name] = function
    return list(found.values())


async def toolset(tools: str | Iterable[str], folder: Path, own: Path) -> Toolset:
    """The tools of one attempt.

    Args:
        tools: As the task has it.
        folder: That of the task file.
        own: Of this attempt alone; a maker that takes an argument is given it.

    Raises:
        EpisodeFault: The maker raises, or makes something else.
    """
    try:
        found = functions(tools, folder)
        if not isinstance(tools, str):
            return FunctionToolset(found)
        maker = found[0]
        made = maker(own) if inspect.signature(maker).parameters else maker()
        if inspect.isawaitable(made):
            made = await made
    except (Exception, SystemExit) as error:  # anybody's code
        raise EpisodeFault(f"{tools}: {type(error).__name__}: {error}") from error
    if not isinstance(made, Toolset):
        raise EpisodeFault(f"{tools} made a {type(made).__name__}, which is no toolset")
    return made
