"""The places where settings come from, each flattened to dotted keys, and how they are put together."""

from __future__ import annotations

import difflib
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from pydantic import ValidationError

from instar.errors import ConfigError

__all__ = [
    "FREE",
    "UNKNOWN",
    "Layer",
    "check_keys",
    "environment",
    "explain",
    "file",
    "later_wins",
    "nest",
    "of_outside",
    "options",
    "toml",
]

FREE = "methods"
"""The section whose keys are the methods' own."""

UNKNOWN = "unknown"
"""Name of the model of an agent that does not say which it uses."""

_PREFIX = "INSTAR_"


class Layer(NamedTuple):
    """Settings from one place, by dotted key."""

    source: str
    values: dict[str, Any]


def file(path: Path | None) -> Layer:
    """``instar.toml``, or the one in a folder, which may lack it.

    Raises:
        ConfigError: It cannot be read, or is no TOML.
    """
    if path is None or (path.is_dir() and not (path / "instar.toml").exists()):
        return Layer("", {})
    return toml(path / "instar.toml" if path.is_dir() else path)


def toml(path: Path, remedy: str = "Make one: instar init") -> Layer:
    """The settings in a file.

    Args:
        path: Of the file.
        remedy: What to do where it cannot be read.

    Raises:
        ConfigError: It cannot be read, or is no TOML.
    """
    try:
        values = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror}. {remedy}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} is not valid TOML: {error}") from error
    return Layer(str(path), _flatten(values))


def _flatten(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for name, value in values.items():
        key = f"{prefix}{name}"
        flat |= _flatten(value, f"{key}.") if isinstance(value, dict) else {key: value}
    return flat


def environment(env: Mapping[str, str], known: Sequence[str]) -> Layer:
    """Variables with a double underscore are keys; of the others those that name a plain setting."""
    values: dict[str, Any] = {}
    for name, text in sorted(env.items()):
        key = name.removeprefix(_PREFIX).lower().replace("__", ".")
        if name.startswith(_PREFIX) and ("." in key or key in known):
            values[key] = _value(text)
    return Layer("the environment", values)


def options(overrides: Iterable[str]) -> Layer:
    """What was typed after ``-o``.

    Raises:
        ConfigError: One has no equals sign.
    """
    values = {}
    for option in overrides:
        key, equals, text = option.partition("=")
        if not equals:
            raise ConfigError(f"-o {option}: type -o section.key=value")
        values[key.strip()] = _value(text.strip())
    return Layer("-o", values)


def _value(text: str) -> Any:
    """A value as TOML writes it, ``none``, or else the text itself."""
    if text.lower() == "none":
        return None
    try:
        parsed = tomllib.loads(f"value = {text}")
    except tomllib.TOMLDecodeError:
        return text
    return parsed["value"] if set(parsed) == {"value"} else text


def check_keys(layer: Layer, known: Sequence[str]) -> None:
    """See that every key exists.

    Raises:
        ConfigError: One does not; it names the nearest that does.
    """
    for key in layer.values:
        if key not in known and not (key.startswith(f"{FREE}.") and key.count(".") >= 2):
            raise ConfigError(f"Unknown setting {key!r} in {layer.source}.{_suggest(key, known)}")


def _suggest(key: str, known: Sequence[str]) -> str:
    section, _, last = key.rpartition(".")
    siblings = [name for name in known if name.rpartition(".")[0] == section]
    same = [name for name in known if name.rpartition(".")[2] == last]
    near = same or difflib.get_close_matches(key, (section and siblings) or known, n=1, cutoff=0.75)
    if near:
        return f" Did you mean {near[0]!r}?"
    if siblings:
        return f" Available: {', '.join(siblings)}."
    return f" Sections: {', '.join(dict.fromkeys(name.partition('.')[0] for name in known))}."


_TRAINERS_OWN = {"steps": "max_steps", "minutes": "seconds", "lr": "lr", "rank": "rank"}
"""What a key of ``[train]`` is called in a trainer's own section."""


def later_wins(layers: Sequence[Layer]) -> list[Layer]:
    """The layers, without what a trainer's own section says of a thing that a later ``train.`` key says.

    Both name the same thing, and the own section is the stronger one: without this a preset's
    ``methods.sft.max_steps`` would outdo a ``train.steps`` that somebody typed.
    """
    chosen = [x.values["train.trainer"] for x in layers if "train.trainer" in x.values]
    own = f"{FREE}.{str(chosen[-1] if chosen else 'sft').rpartition('.')[2]}."
    later: set[str] = set()
    kept: list[Layer] = []
    for layer in reversed(layers):
        values = {key: value for key, value in layer.values.items() if key not in later}
        kept.insert(0, Layer(layer.source, values))
        said = (key for key in _TRAINERS_OWN if layer.values.get(f"train.{key}") is not None)
        later |= {own + _TRAINERS_OWN[key] for key in said}
    return kept


def of_outside(layers: Sequence[Layer]) -> list[Layer]:
    """A preset's model is not that of an agent of somebody's own, whose model only they can name."""
    said = {key for layer in layers for key, value in layer.values.items() if value is not None}
    if "model.name" in said or not said & {"agent.command", "agent.url"}:
        return []
    return [Layer("", {"model.name": UNKNOWN})]


def nest(layers: Iterable[Layer]) -> dict[str, Any]:
    """All layers in one tree; later ones win."""
    nested: dict[str, Any] = {}
    for layer in layers:
        for key, value in layer.values.items():
            *sections, last = key.split(".")
            at = nested
            for section in sections:
                if not isinstance(at.get(section), dict):
                    at[section] = {}
                at = at[section]
            at[last] = value
    return nested


def explain(error: ValidationError, layers: Sequence[Layer], known: Sequence[str]) -> str:
    """The first thing wrong: key, place, what is wrong with it and what was given."""
    first = error.errors()[0]
    parts = [str(part) for part in first["loc"]]
    key = ".".join(parts[:2]) if ".".join(parts[:2]) in known else ".".join(parts)
    place = next((f" in {x.source}" for x in reversed(layers) if key in x.values), "")
    wrong = first["msg"].removeprefix("Value error, ")
    if first["type"] == "tuple_type":
        wrong = (
            f'a list is written as ["{first["input"]}"]'
            if isinstance(first["input"], str)
            else "this is a list"
        )
    return f"Setting {key!r}{place}: {wrong}, not {first['input']!r}."
