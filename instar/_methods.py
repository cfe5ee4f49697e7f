"""A method ready to use: its class by id, its own config from the settings."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from instar import plugins
from instar.config import Config
from instar.errors import ConfigError

__all__ = ["build", "require"]


def build(kind: str, name: str, config: Config, **settings: Any) -> Any:
    """Make a method.

    Args:
        kind: Such as ``memory.distill``.
        name: Id or dotted path.
        config: Its ``methods.<id>`` overrides ``settings``.
        settings: What the loop would set; a method takes those that its config has, unless None.

    Raises:
        UnknownName: There is no such method.
        ConfigError: A setting under ``methods`` does not exist or does not fit.
    """
    found = plugins.load(kind, name)
    own: Mapping[str, Any] = config.methods.get(name.rpartition(".")[2], {})
    shape = getattr(found, "Config", None)
    if shape is None:
        return found()
    fitting = {k: v for k, v in settings.items() if k in shape.model_fields and v is not None}
    try:
        return found(shape(**{**fitting, **own}))
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(["methods", name, *(str(part) for part in first["loc"])])
        known = ", ".join(sorted(shape.model_fields))
        raise ConfigError(f"Setting {key!r}: {first['msg']}. Available: {known}.") from error


def require(config: Config) -> None:
    """See that every method that a turn asks for exists, before the first one is needed.

    Raises:
        UnknownName: There is no such method.
    """
    asked = [("curriculum.select", config.curriculum.select)]
    asked += [("curriculum.propose", name) for name in config.curriculum.propose]
    asked += [("memory.distill", name) for name in config.memory.distill]
    asked += [("memory.forget", name) for name in config.memory.forget]
    asked += [("finetune.curate", config.train.curator), ("finetune.train", config.train.trainer)]
    for kind, name in asked:
        if (kind, name) != ("finetune.train", "off"):
            plugins.load(kind, name)
