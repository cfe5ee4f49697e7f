"""Tools made from typed Python functions: the signature and the docstring are the schema.

Arguments are coerced and checked by pydantic against the signature. A mistake of the caller, an
unknown tool as much as a wrong argument, comes back as a text that lists what exists; so does
whatever a function raises, because a tool that fails is something the model reads.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Iterable, Mapping
from functools import lru_cache
from typing import Any, NamedTuple, TypeVar, get_type_hints

from pydantic import BaseModel, ConfigDict, Field, ValidationError, create_model

from instar.errors import InstarError
from instar.types import Result, ToolSpec

__all__ = ["FunctionToolset", "ToolError", "spec_of", "tool"]

_Function = TypeVar("_Function", bound=Callable[..., Any])
_ARGUMENT = re.compile(r"^ {4}(\w+)(?: \([^)]*\))?: (.*)$")


class ToolError(Exception):
    """A tool could not do what was asked; the message is for the model."""


class _Declared(NamedTuple):
    effects: tuple[str, ...]
    volatile: tuple[str, ...]


class _Tool(NamedTuple):
    spec: ToolSpec
    arguments: type[BaseModel]


def tool(
    *, effects: Iterable[str] = ("read",), volatile: Iterable[str] = ()
) -> Callable[[_Function], _Function]:
    """Declare what a function touches and which arguments mean nothing later.

    Args:
        effects: Of ``read``, ``write``, ``network``, ``execute``.
        volatile: Names of arguments such as element references.
    """
    declared = _Declared(tuple(effects), tuple(volatile))

    def mark(function: _Function) -> _Function:
        function.__dict__["instar_tool"] = declared
        return function

    return mark


def _descriptions(doc: str) -> dict[str, str]:
    """Descriptions of the arguments in a Google docstring, continuation lines joined."""
    found: dict[str, str] = {}
    name = ""
    for line in doc.partition("Args:\n")[2].splitlines():
        if match := _ARGUMENT.match(line):
            name = match.group(1)
            found[name] = match.group(2).strip()
        elif name and line.startswith(" " * 8):
            found[name] += " " + line.strip()
        else:
            break
    return found


def _arguments(function: Callable[..., Any], doc: str) -> type[BaseModel]:
    hints = get_type_hints(function, include_extras=True)
    described = _descriptions(doc)
    fields: dict[str, Any] = {}
    for name, parameter in inspect.signature(function).parameters.items():
        if name == "self":
            continue
        default = ... if parameter.default is parameter.empty else parameter.default
        fields[name] = (hints.get(name, str), Field(default, description=described.get(name)))
    config = ConfigDict(extra="forbid", coerce_numbers_to_str=True)
    model: type[BaseModel] = create_model("Arguments", __config__=config, **fields)
    return model


def _without_titles(schema: Any) -> Any:
    if isinstance(schema, dict):
        titled = isinstance(schema.get("title"), str)
        kept = {k: v for k, v in schema.items() if not (k == "title" and titled)}
        return {k: _without_titles(v) for k, v in kept.items()}
    return [_without_titles(v) for v in schema] if isinstance(schema, list) else schema


@lru_cache(maxsize=1024)
def _describe(function: Callable[..., Any]) -> _Tool:
    doc = inspect.getdoc(function) or ""
    declared = getattr(function, "instar_tool", _Declared((), ()))
    arguments = _arguments(function, doc)
    spec = ToolSpec(
        name=getattr(function, "__name__", ""),
        description=doc.partition("\n")[0],
        parameters=_without_titles(arguments.model_json_schema()),
        effects=declared.effects,
        volatile=declared.volatile,
    )
    return _Tool(spec, arguments)


def spec_of(function: Callable[..., Any]) -> ToolSpec:
    """The schema of a function or bound method."""
    return _describe(getattr(function, "__func__", function)).spec


def _mistakes(spec: ToolSpec, error: ValidationError) -> str:
    def one(kind: str, name: str, message: str) -> str:
        if kind == "missing":
            return f"{name} is missing"
        if kind == "extra_forbidden":
            return f"no argument {name}"
        return f"{name}: {message[:1].lower()}{message[1:]}"

    told = [one(e["type"], ".".join(map(str, e["loc"])), e["msg"]) for e in error.errors()]
    return f"{spec.name}: {'; '.join(told)}. Arguments: {' '.join(spec.argument_names()) or 'none'}"


class FunctionToolset:
    """A toolset of functions, sync or async; methods share their object as state.

    Args:
        functions: What may be called. A function returns a `Result`, or anything that makes a
            text; None is ``ok``.
    """

    def __init__(self, functions: Iterable[Callable[..., Any]]) -> None:
        self._functions = {spec_of(f).name: f for f in functions}

    def tools(self) -> list[ToolSpec]:
        """The tools at hand."""
        return [spec_of(f) for f in self._functions.values()]

    async def call(self, name: str, arguments: Mapping[str, Any]) -> Result:
        """Call a tool; every mistake comes back as text with ``error`` set.

        Raises:
            EpisodeFault: The infrastructure failed.
        """
        function = self._functions.get(name)
        if function is None:
            return Result(
                text=f"no tool {name}. Tools: {', '.join(self._functions)}", error=True, misuse=True
            )
        spec, model = _describe(getattr(function, "__func__", function))
        try:
            checked = model.model_validate(dict(arguments))
        except ValidationError as error:
            return Result(text=_mistakes(spec, error), error=True, misuse=True)
        values = {field: getattr(checked, field) for field in model.model_fields}
        return await self._run(function, values)

    async def _run(self, function: Callable[..., Any], values: dict[str, Any]) -> Result:
        try:
            answer = function(**values)
            if inspect.isawaitable(answer):
                answer = await answer
        except InstarError:
            raise
        except ToolError as error:
            return Result(text=str(error), error=True, misuse=True)
        except Exception as error:  # noqa: BLE001 - any function may be a tool, and raise anything
            return Result(text=f"{type(error).__name__}: {error}", error=True)
        if isinstance(answer, Result):
            return answer
        return Result(text="ok" if answer is None else str(answer))
