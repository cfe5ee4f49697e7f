"""The fixed texts of the agent, one TOML file a set; a variable that is missing or unknown is an error.

``standard`` is for large models; ``compact`` for pocket, which was trained with this one line.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from pathlib import Path

from jinja2 import Environment, StrictUndefined, TemplateError, meta
from pydantic import ValidationError

from instar.errors import ConfigError, UnknownName
from instar.types import Prompts

__all__ = ["load_prompts", "prompt_sets"]

_HERE = Path(__file__).parent


def prompt_sets() -> list[str]:
    """Names of the sets that exist."""
    return sorted(p.stem for p in _HERE.glob("*.toml"))


def load_prompts(name: str, variables: Mapping[str, str] | None = None) -> Prompts:
    """Read a set of prompts.

    Args:
        name: Name of a set, or the path of a TOML file of one's own.
        variables: Values for the variables of its templates, no more and no fewer.

    Raises:
        UnknownName: There is no such set.
        ConfigError: The file is no set of prompts, or its variables are not those given.
    """
    path = Path(name) if name.endswith(".toml") else _HERE / f"{name}.toml"
    if not path.is_file():
        raise UnknownName(
            "set of prompts", name, prompt_sets(), "Or give the path of a .toml file."
        )
    try:
        fields = tomllib.loads(path.read_text(encoding="utf-8"))
        texts = _rendered({k: str(v) for k, v in fields.items()}, variables or {})
        return Prompts(name=path.stem, **texts)
    except (tomllib.TOMLDecodeError, TemplateError, ValidationError, TypeError) as error:
        raise ConfigError(f"{path} is no set of prompts: {_line(error)}") from error


def _rendered(templates: Mapping[str, str], variables: Mapping[str, str]) -> dict[str, str]:
    environment = Environment(undefined=StrictUndefined, autoescape=False)
    used: set[str] = set()
    for text in templates.values():
        used |= meta.find_undeclared_variables(environment.parse(text))
    if missing := sorted(used - set(variables)):
        raise ConfigError(f"The prompts need a value for: {', '.join(missing)}")
    if unknown := sorted(set(variables) - used):
        raise ConfigError(f"The prompts have no variable: {', '.join(unknown)}")
    return {k: environment.from_string(t).render(variables).strip() for k, t in templates.items()}


def _line(error: Exception) -> str:
    return " ".join(str(error).split())
