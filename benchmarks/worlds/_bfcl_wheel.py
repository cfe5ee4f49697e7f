"""What the wheel `bfcl-eval` brings for its multi-turn categories: entries, answers, functions, checks.

The wheel pins another numpy and asks for API clients, FAISS and more, none of which these categories
touch; so it is installed without its dependencies, which no extra of ours can say. Only modules of it
that need nothing but the standard library and mpmath are loaded. Answers are read by `ast`; nothing
of the data is ever evaluated.
"""

from __future__ import annotations

import ast
import importlib
import inspect
import json
from functools import cache
from pathlib import Path
from typing import Any

from pydantic import JsonValue

from instar.errors import MissingExtra, UserError
from instar.types import Record, ToolSpec

__all__ = [
    "CATEGORIES",
    "INSTALL",
    "REQUIREMENT",
    "Call",
    "Entry",
    "check",
    "entries",
    "simulator",
    "specs",
]

CATEGORIES = ("base", "miss_func", "miss_param", "long_context")
REQUIREMENT = "bfcl-eval>=2026.3"
INSTALL = "pip install --no-deps bfcl-eval mpmath -c constraints.txt"
_CHECKER = "eval_checker.multi_turn_eval.multi_turn_checker"
_TYPES = {
    "dict": "object",
    "float": "number",
    "integer": "integer",
    "string": "string",
    "boolean": "boolean",
    "array": "array",
    "tuple": "array",
}


class Call(Record):
    """One call of a possible answer, its arguments by name."""

    name: str
    arguments: dict[str, Any]


class Entry(Record):
    """One task of the benchmark.

    Attributes:
        number: Which of the 200 stories; every category tells each of them once, in its own way.
        requests: What the user says, turn by turn.
        simulators: Classes whose methods are the tools.
        config: What each simulator starts from.
        added: Functions that are there only from a turn on, by the turn's index.
        answers: Calls that are right, turn by turn; some turns expect none.
    """

    id: str
    category: str
    number: int
    requests: tuple[str, ...]
    simulators: tuple[str, ...]
    config: dict[str, JsonValue]
    added: dict[int, tuple[str, ...]]
    answers: tuple[tuple[Call, ...], ...]


def _module(name: str) -> Any:
    try:
        return importlib.import_module(f"bfcl_eval.{name}")
    except ModuleNotFoundError as error:
        if error.name in {"bfcl_eval", "mpmath"}:
            raise MissingExtra("BFCL", INSTALL) from error
        raise UserError(f"This bfcl-eval does not fit. Type: {INSTALL}") from error


def _rows(name: str) -> list[dict[str, Any]]:
    """The JSON lines of one file of the wheel's data."""
    path = Path(str(_module("constants").__file__)).parents[1] / "data" / name
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except OSError as error:
        raise UserError(f"bfcl-eval has no {name}. Type: {INSTALL}") from error
    return [json.loads(line) for line in lines]


@cache
def simulator(name: str) -> Any:
    """The class of a simulator.

    Raises:
        MissingExtra: The wheel or mpmath is not installed.
    """
    places = _module("constants.executable_backend_config").CLASS_FILE_PATH_MAPPING
    module = _module(places[name].removeprefix("bfcl_eval."))
    return getattr(module, name)


def check(name: str, *arguments: Any) -> str:
    """What a check of the wheel objects to; empty where it does not.

    Args:
        name: ``state_checker`` or ``response_checker``.
        arguments: As that function takes them.
    """
    found = getattr(_module(_CHECKER), name)(*arguments)
    return "" if found["valid"] else str(found["error_message"])


@cache
def specs(name: str) -> tuple[ToolSpec, ...]:
    """The documented functions of a simulator as tools."""
    files = _module("constants.executable_backend_config").MULTI_TURN_FUNC_DOC_FILE_MAPPING
    return tuple(
        ToolSpec(
            name=row["name"],
            description=row["description"].strip(),
            parameters=_schema(row["parameters"]),
        )
        for row in _rows(f"multi_turn_func_doc/{files[name]}")
    )


def _schema(shape: dict[str, Any]) -> dict[str, Any]:
    """A parameter of the documentation in JSON schema."""
    found = {**shape, "type": _TYPES[shape["type"]]}
    if "properties" in shape:
        found["properties"] = {k: _schema(v) for k, v in shape["properties"].items()}
    if "items" in shape:
        found["items"] = _schema(shape["items"])
    return found


@cache
def entries(category: str) -> tuple[Entry, ...]:
    """All entries of a category in the wheel's order.

    Raises:
        MissingExtra: The wheel or mpmath is not installed.
    """
    file = f"BFCL_v4_multi_turn_{category}.json"
    answers = {row["id"]: row["ground_truth"] for row in _rows(f"possible_answer/{file}")}
    return tuple(_entry(category, row, answers[row["id"]]) for row in _rows(file))


def _entry(category: str, row: dict[str, Any], answers: list[list[str]]) -> Entry:
    functions = {
        spec.name: getattr(simulator(name), spec.name)
        for name in row["involved_classes"]
        for spec in specs(name)
    }
    return Entry(
        id=row["id"],
        category=category,
        number=int(row["id"].rpartition("_")[2]),
        requests=tuple(_request(turn) for turn in row["question"]),
        simulators=tuple(row["involved_classes"]),
        config=row["initial_config"],
        added={int(turn): tuple(names) for turn, names in row.get("missed_function", {}).items()},
        answers=tuple(tuple(_call(text, functions) for text in turn) for turn in answers),
    )


def _request(messages: list[dict[str, str]]) -> str:
    """The words of a turn; one without words offers new functions, in the wheel's own words."""
    if not messages:
        prompts = _module("constants.default_prompts")
        return str(prompts.DEFAULT_USER_PROMPT_FOR_ADDITIONAL_FUNCTION_FC)
    return "\n".join(message["content"] for message in messages)


def _call(text: str, functions: dict[str, Any]) -> Call:
    node = ast.parse(text, mode="eval").body
    if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Name):
        raise ValueError(f"no plain call: {text}")
    given = [ast.literal_eval(value) for value in node.args]
    named = {str(k.arg): ast.literal_eval(k.value) for k in node.keywords}
    bound = inspect.signature(functions[node.func.id]).bind(None, *given, **named)
    values = {k: v for k, v in bound.arguments.items() if k != "self"}
    return Call(name=node.func.id, arguments=values)
