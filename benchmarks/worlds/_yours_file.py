"""A file of tasks, one JSON object a line; a line that is wrong costs that line and nothing else.

Everything that can be wrong before an attempt is found here: a key that does not exist, a folder
that is not there, a dotted path that leads nowhere. Lines are split at line feeds only, because a
text in JSON may hold the other characters that Python takes for the end of a line.
"""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path, PurePosixPath
from typing import Annotated, Literal, NamedTuple
from urllib.parse import urlsplit

from pydantic import ConfigDict, Field, StringConstraints, ValidationError, model_validator

from benchmarks.worlds._yours_code import functions, named
from instar.errors import UserError
from instar.types import Record, content_hash

__all__ = ["Line", "Pattern", "Problem", "read"]

_Text = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1)]

_DOORS = ("url", "tools", "files")
_JUDGES = ("check", "verifier", "answer", "outcome")
_NAMING = {"id", "split", "family", "parents"}
_FORMS = {
    "id": "a text",
    "instruction": "a text that says what to do",
    "url": "an address such as http://127.0.0.1:8000/",
    "hosts": "a list of hosts such as 127.0.0.1:8001",
    "tools": "a dotted path, or a list of dotted paths",
    "files": "a folder, or an object of file names and texts",
    "family": "a text",
    "split": "practise, gate, held_out or hash",
    "parents": "a list of the ids of tasks that it was made of",
    "check": "a command: a text for the shell, or a list of texts",
    "verifier": "a dotted path",
    "answer": 'a text, or {"pattern": "a regular expression"}',
    "outcome": '"later"',
    "seconds": "a number above 0",
}
_NO_CHECK = (
    "check is empty: write a command that exits with 0 where the task was done, or leave it out and "
    'write "outcome": "later"'
)
_ONE_LINE = 8  # problems that an error of one line lists


class Pattern(Record):
    """A regular expression that the whole answer has to match."""

    pattern: _Text


class Line(Record):
    """A task as its author wrote it; `benchmarks.worlds.yours` says what the keys mean."""

    model_config = ConfigDict(coerce_numbers_to_str=True)

    id: _Text | None = None
    instruction: _Text
    url: _Text | None = None
    hosts: tuple[_Text, ...] = ()
    tools: _Text | Annotated[tuple[_Text, ...], Field(min_length=1)] | None = None
    files: _Text | dict[str, str] | None = None
    family: _Text = "task"
    split: Literal["practise", "gate", "held_out", "hash"] = "held_out"
    check: _Text | Annotated[tuple[str, ...], Field(min_length=1)] | None = None
    verifier: _Text | None = None
    answer: _Text | Pattern | None = None
    outcome: Literal["later"] | None = None
    seconds: Annotated[float, Field(gt=0, allow_inf_nan=False)] | None = None
    parents: tuple[_Text, ...] = ()

    @model_validator(mode="after")
    def _fits_together(self) -> Line:
        doors, judges = self._given(_DOORS), self._given(_JUDGES)
        if len(doors) != 1:
            raise ValueError(f"one of {_listed(_DOORS)} is needed, not {_listed(doors)}")
        if len(judges) > 1:
            raise ValueError(f"at most one of {_listed(_JUDGES)} is possible")
        if self.hosts and self.url is None:
            raise ValueError("hosts goes with url only")
        if self.seconds and not {"check", "verifier"} & set(judges):
            raise ValueError("seconds goes with check or verifier only")
        return self

    def _given(self, names: tuple[str, ...]) -> list[str]:
        return [name for name in names if getattr(self, name) is not None]

    @property
    def judged(self) -> bool:
        """Whether an attempt can be judged as soon as it is over."""
        return bool(self._given(("check", "verifier", "answer")))

    def definition(self) -> dict[str, object]:
        """What is asked for and how it is judged, without what merely names and sorts the task."""
        return self.model_dump(mode="json", exclude=_NAMING, exclude_defaults=True)

    @property
    def key(self) -> str:
        """What the task is known by in its file."""
        return self.id or content_hash(self.definition())


class Problem(NamedTuple):
    """A line that cannot be used."""

    number: int
    reason: str

    def __str__(self) -> str:
        return f"line {self.number}: {self.reason}"


def read(path: Path) -> tuple[list[Line], list[Problem]]:
    """The lines of a file that can be used, and those that cannot.

    Raises:
        UserError: There is no such file, or no line of it can be used.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise UserError(
            f"{path} cannot be read: {error.strerror}. "
            "For an example to begin with, type: instar bench init"
        ) from error
    lines: dict[str, tuple[int, Line]] = {}
    problems: list[Problem] = []
    for number, text in _texts(content):
        try:
            line = _line(text)
            _check(line, path)
            if line.key in lines:
                raise ValueError(f"the same task as line {lines[line.key][0]}; give one an id")
            lines[line.key] = number, line
        except ValueError as error:
            problems.append(Problem(number, " ".join(str(error).split())))
    if not lines:
        told = "; ".join(map(str, problems[:_ONE_LINE])) or "it has no lines with a task"
        more = len(problems) - _ONE_LINE
        raise UserError(
            f"{path} holds no task that can be used: {told}{f'; {more} more' * (more > 0)}. "
            "For an example to look at, type: instar bench init example.jsonl"
        )
    return [line for _, line in lines.values()], problems


def _texts(content: bytes) -> Iterator[tuple[int, bytes]]:
    """Lines by number, without blank ones and comments."""
    for number, text in enumerate(content.removeprefix(b"\xef\xbb\xbf").split(b"\n"), 1):
        bare = text.strip()
        if bare and not bare.startswith(b"#"):
            yield number, bare


def _line(text: bytes) -> Line:
    """A line as a record.

    Raises:
        ValueError: It is none; the message says why.
    """
    try:
        value = json.loads(text.decode())
    except UnicodeDecodeError as error:
        raise ValueError(f"not UTF-8 at byte {error.start + 1}") from error
    except json.JSONDecodeError as error:
        raise ValueError(f"not JSON at column {error.colno}: {error.msg}") from error
    except RecursionError as error:
        raise ValueError("not JSON: nested too deeply") from error
    if not isinstance(value, dict):
        raise ValueError('not a JSON object such as {"instruction": ...}')
    try:
        return Line.model_validate(value)
    except ValidationError as error:
        raise ValueError("; ".join(_reasons(error))) from error


def _reasons(error: ValidationError) -> list[str]:
    """What is wrong with a record, each thing once and in the words of the file."""
    found = []
    for one in error.errors():
        key = str(one["loc"][0]) if one["loc"] else ""
        if not key:
            found.append(str(one["ctx"]["error"]))
        elif one["type"] == "missing":
            found.append(f"{key} is missing")
        elif key == "check" and one["input"] == "":
            found.append(_NO_CHECK)
        elif key not in _FORMS:
            close = difflib.get_close_matches(key, _FORMS, n=1)
            found.append(f"no key {key!r}" + (f", did you mean {close[0]!r}" if close else ""))
        else:
            found.append(f"{key} has to be {_FORMS[key]}")
    return list(dict.fromkeys(found))


def _check(line: Line, path: Path) -> None:
    """Whether everything that a line names is there.

    Raises:
        ValueError: Something is not.
    """
    folder = path.resolve().parent
    checks: dict[str, Callable[[], object]] = {
        "url": lambda: _address(line.url or ""),
        "tools": lambda: functions(line.tools or (), folder),
        "files": lambda: _files(line.files or {}, path.resolve()),
        "verifier": lambda: named(line.verifier or "", folder),
        "answer": lambda: _pattern(line.answer),
    }
    wrong = []
    for key, check in checks.items():
        if getattr(line, key) is not None:
            try:
                check()
            except ValueError as error:
                wrong.append(f"{key}: {error}")
    if wrong:
        raise ValueError("; ".join(wrong))


def _address(url: str) -> None:
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError(f"{url} is not {_FORMS['url']}")


def _files(files: str | dict[str, str], path: Path) -> None:
    if isinstance(files, dict):
        for name in files:
            pure = PurePosixPath(name)
            if pure.is_absolute() or ".." in pure.parts or not pure.parts or "\0" in name:
                raise ValueError(f"{name!r} is no name within a folder")
        return
    folder = (path.parent / files).resolve()
    if not folder.is_dir():
        raise ValueError(f"no folder {files}")
    if path.is_relative_to(folder):
        raise ValueError(f"{files} holds {path.name}, whose checks the agent could read")


def _pattern(answer: str | Pattern | None) -> None:
    if isinstance(answer, Pattern):
        try:
            re.compile(answer.pattern)
        except re.error as error:
            raise ValueError(f"{answer.pattern!r} is no regular expression: {error}") from error


def _listed(names: list[str] | tuple[str, ...]) -> str:
    return ", ".join(names) or "none"
