"""A method ready to use: its class by id, its own config from the settings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import BaseModel, ValidationError

from instar import plugins
from instar._models import Models
from instar.config import Config
from instar.errors import ConfigError

__all__ = ["build", "require", "require_reflection", "trainer"]

_MAY_BE_OFF = ("agent.prompt", "finetune.train")


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
    shape = getattr(found, "Config", None)
    if shape is None:
        return found()
    own = config.methods.get(_key(name), {})
    fitting = {k: v for k, v in settings.items() if k in shape.model_fields and v is not None}
    try:
        return found(shape(**{**fitting, **own}))
    except ValidationError as error:
        raise _misfit(name, shape, error.errors()[0]) from error


def _key(name: str) -> str:
    """Under which a method's own settings stand."""
    return name.rpartition(".")[2]


def _misfit(name: str, shape: type[BaseModel], first: Mapping[str, Any]) -> ConfigError:
    key = ".".join(["methods", _key(name), *(str(part) for part in first["loc"])])
    known = ", ".join(sorted(shape.model_fields))
    return ConfigError(f"Setting {key!r}: {first['msg']}. Available: {known}.")


def _must_take(found: type[Any], name: str, config: Config) -> None:
    """See that a method takes what the settings say to it; what the loop sets may still be missing."""
    shape, own = getattr(found, "Config", None), config.methods.get(_key(name), {})
    if shape is None or not own:
        return
    try:
        shape(**own)
    except ValidationError as error:
        wrong = [one for one in error.errors() if one["type"] != "missing"]
        if wrong:
            raise _misfit(name, shape, wrong[0]) from error


def _must_exist(asked: Sequence[tuple[str, str]], config: Config) -> None:
    for kind, name in asked:
        if name != "off" or kind not in _MAY_BE_OFF:
            _must_take(plugins.load(kind, name), name, config)


def require_reflection(config: Config) -> None:
    """See that all methods exist that write memories and let them go.

    Raises:
        UnknownName: There is no such method.
        ConfigError: A setting of one does not fit.
    """
    asked = [("memory.distill", name) for name in config.memory.distill]
    _must_exist(asked + [("memory.forget", name) for name in config.memory.forget], config)


def require(config: Config) -> None:
    """See that every method that a turn asks for exists, before the first one is needed.

    Raises:
        UnknownName: There is no such method.
        ConfigError: A setting of one does not fit, the trainer does not learn from what the curator gives or cannot be shared by
            several processes, or the curator asks a model that is not on this machine.
    """
    asked = [("curriculum.select", config.curriculum.select)]
    asked += [("curriculum.propose", name) for name in config.curriculum.propose]
    asked += [("finetune.probe", name) for name in config.gate.probes]
    asked += [("finetune.curate", config.train.curator), ("finetune.train", config.train.trainer)]
    asked += [("agent.prompt", config.agent.prompt)]
    _must_exist(asked, config)
    require_reflection(config)
    asks_model = getattr(plugins.load("finetune.curate", config.train.curator), "asks_model", False)
    if asks_model and Models(config.model).folder is None:
        raise ConfigError(
            f"Curator {config.train.curator!r} asks the model in use, and {config.model.name} runs "
            "elsewhere: choose a local model, or train.curator=rft"
        )
    if config.train.trainer != "off":
        _must_fit(config.train.curator, config.train.trainer)
        trainer(config)


def trainer(config: Config) -> Any:
    """The trainer of the settings, in several processes where they say so.

    Raises:
        ConfigError: It cannot be shared by so many.
    """
    made = build(
        "finetune.train",
        config.train.trainer,
        config,
        rank=config.train.rank,
        lr=config.train.lr,
        max_steps=config.train.steps,
        seconds=60 * config.train.minutes if config.train.minutes else None,
        device=config.model.device,
    )
    if config.train.processes == 1:
        return made
    from finetune.launching import Launched

    return Launched(config.train.trainer, made, config.train.processes)


def _must_fit(curator: str, trainer: str) -> None:
    """See that the rows of a curator have the form that a trainer learns from, where both say it."""
    given = getattr(plugins.load("finetune.curate", curator), "form", None)
    taken = getattr(plugins.load("finetune.train", trainer), "forms", None)
    if given is None or taken is None or given in taken:
        return
    curators = {
        name: getattr(plugins.load("finetune.curate", name), "form", None)
        for name in plugins.methods("finetune.curate")
    }
    fitting = ", ".join(sorted(name for name, form in curators.items() if form in taken))
    raise ConfigError(
        f"Curator {curator!r} gives {given}, and trainer {trainer!r} learns from "
        f"{' or '.join(taken)}. Change train.trainer, or train.curator to one of: {fitting}."
    )
