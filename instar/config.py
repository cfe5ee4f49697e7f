"""The settings of a workspace: typed, frozen, and from five places.

Later ones win: the defaults here, a preset, ``instar.toml``, the environment
(``INSTAR_SECTION__KEY``), and ``-o section.key=value``. A key that does not exist is an error that
names the place it came from and the nearest key that does.
"""

from __future__ import annotations

import difflib
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, NamedTuple

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    JsonValue,
    PositiveFloat,
    PositiveInt,
    ValidationError,
)

from instar.errors import ConfigError, UnknownName

__all__ = ["Config", "keys", "load_config", "presets"]

_PRESETS = Path(__file__).parent / "presets"
_PREFIX = "INSTAR_"
_FREE = "methods"

Share = Annotated[float, Field(ge=0, le=1)]


class Section(BaseModel):
    """Base of all sections: frozen, unknown keys refused."""

    model_config = ConfigDict(frozen=True, extra="forbid", coerce_numbers_to_str=True)


class Model(Section):
    """The model that acts. Tasks are practised at a temperature, and measured without."""

    name: str = "pocket"
    base_url: str | None = None
    temperature_practise: Annotated[float, Field(ge=0)] = 0.7
    max_tokens: PositiveInt = 160
    timeout: PositiveFloat = 120.0
    device: str = "auto"
    constrained: bool = False


class Agent(Section):
    """The inner loop: which prompts, and when an episode ends."""

    prompts: str = "compact"
    max_steps: PositiveInt = 14
    max_tokens: PositiveInt = 60_000
    loop: PositiveInt = 3


class Memory(Section):
    """The bank. Without a floor its own holds; without a model distillers ask the one that acts."""

    embedder: str = "hash"
    k: PositiveInt = 4
    floor: float | None = None
    distill: tuple[str, ...] = ("workflow", "rules")
    model: str | None = None
    forget: tuple[str, ...] = ()


class Curriculum(Section):
    """What is practised: the selector, the proposer, and how many drafts it is asked for."""

    select: str = "sec"
    propose: str = "neighbours"
    proposals: Annotated[int, Field(ge=0)] = 16


class World(Section):
    """Where tasks come from. Without a house the seed is the house."""

    name: str = "house_rules"
    house: int | None = None


class Practise(Section):
    """One round of practise. Shares are parts of its tasks."""

    tasks: PositiveInt = 64
    attempts: Annotated[int, Field(ge=2)] = 2
    web_share: Share = 0.15
    foreign_share: Share = 0.35
    concurrency: PositiveInt = 16


class Train(Section):
    """From verified successes to an adapter; what is not set is the trainer's own default."""

    curator: str = "rft"
    trainer: str = "sft"
    minutes: PositiveFloat | None = None
    steps: PositiveInt | None = None
    lr: PositiveFloat | None = None
    rank: PositiveInt | None = None


class Gate(Section):
    """The measurement that lets a candidate in: pairs of episodes, and how much worse is not worse."""

    tasks: PositiveInt = 60
    margin: Share = 0.05


class Report(Section):
    """The held-out measurement at the end: tasks an arm."""

    tasks: PositiveInt = 60


class Evolve(Section):
    """How many generations one run adds."""

    generations: PositiveInt = 3


class Config(Section):
    """All settings. ``methods`` holds, by id of a method, what goes to that method's own config."""

    preset: str = "pocket"
    seed: int = 0
    workspace: Path = Path("instar-workspace")
    model: Model = Model()
    agent: Agent = Agent()
    memory: Memory = Memory()
    curriculum: Curriculum = Curriculum()
    world: World = World()
    practise: Practise = Practise()
    train: Train = Train()
    gate: Gate = Gate()
    report: Report = Report()
    evolve: Evolve = Evolve()
    methods: dict[str, dict[str, JsonValue]] = Field(default_factory=dict)


class _Layer(NamedTuple):
    """Settings from one place, by dotted key."""

    source: str
    values: dict[str, Any]


def keys() -> list[str]:
    """Every dotted key there is, in order; a key of ``methods`` is free."""
    found: list[str] = []
    for name, field in Config.model_fields.items():
        kind = field.annotation
        if isinstance(kind, type) and issubclass(kind, Section):
            found += [f"{name}.{key}" for key in kind.model_fields]
        elif name != _FREE:
            found.append(name)
    return found


def presets() -> list[str]:
    """Names of the presets that ship."""
    return sorted(path.stem for path in _PRESETS.glob("*.toml"))


def load_config(
    path: Path | None = None,
    overrides: Sequence[str] = (),
    env: Mapping[str, str] | None = None,
) -> Config:
    """Settings from all places.

    Args:
        path: ``instar.toml``, or a folder that may hold one.
        overrides: ``section.key=value``, as typed after ``-o``.
        env: The environment; none of it is looked at otherwise.

    Raises:
        ConfigError: A key that does not exist, a value that does not fit, a file that is no TOML.
        UnknownName: A preset that does not exist.
    """
    layers = [_file(path), _environment(env or {}), _options(overrides)]
    named = [layer.values["preset"] for layer in layers if "preset" in layer.values]
    layers.insert(0, _preset(str(named[-1]) if named else Config().preset))
    for layer in layers:
        _check_keys(layer)
    try:
        return Config.model_validate(_nest(layers))
    except ValidationError as error:
        raise ConfigError(_explain(error, layers)) from error


def _preset(name: str) -> _Layer:
    if name not in presets():
        raise UnknownName("preset", name, presets())
    return _toml(_PRESETS / f"{name}.toml")


def _file(path: Path | None) -> _Layer:
    if path is None or (path.is_dir() and not (path / "instar.toml").exists()):
        return _Layer("", {})
    return _toml(path / "instar.toml" if path.is_dir() else path)


def _toml(path: Path) -> _Layer:
    try:
        values = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(
            f"{path} cannot be read: {error.strerror}. Make one: instar init"
        ) from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} is not valid TOML: {error}") from error
    return _Layer(str(path), _flatten(values))


def _flatten(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for name, value in values.items():
        key = f"{prefix}{name}"
        flat |= _flatten(value, f"{key}.") if isinstance(value, dict) else {key: value}
    return flat


def _environment(env: Mapping[str, str]) -> _Layer:
    """Variables with a double underscore are keys; of the others those that name a plain setting."""
    values: dict[str, Any] = {}
    for name, text in sorted(env.items()):
        key = name.removeprefix(_PREFIX).lower().replace("__", ".")
        if name.startswith(_PREFIX) and ("." in key or key in keys()):
            values[key] = _value(text)
    return _Layer("the environment", values)


def _options(overrides: Iterable[str]) -> _Layer:
    values = {}
    for option in overrides:
        key, equals, text = option.partition("=")
        if not equals:
            raise ConfigError(f"-o {option}: type -o section.key=value")
        values[key.strip()] = _value(text.strip())
    return _Layer("-o", values)


def _value(text: str) -> Any:
    """A value as TOML writes it, ``none``, or else the text itself."""
    if text.lower() == "none":
        return None
    try:
        parsed = tomllib.loads(f"value = {text}")
    except tomllib.TOMLDecodeError:
        return text
    return parsed["value"] if set(parsed) == {"value"} else text


def _check_keys(layer: _Layer) -> None:
    known = keys()
    for key in layer.values:
        if key not in known and not (key.startswith(f"{_FREE}.") and key.count(".") >= 2):
            raise ConfigError(f"Unknown setting {key!r} in {layer.source}.{_suggest(key, known)}")


def _suggest(key: str, known: Sequence[str]) -> str:
    section, _, last = key.rpartition(".")
    siblings = [name for name in known if name.rpartition(".")[0] == section]
    same = [name for name in known if name.rpartition(".")[2] == last]
    near = same or difflib.get_close_matches(key, (section and siblings) or known, n=1, cutoff=0.75)
    if near:
        return f" Did you mean {near[0]!r}?"
    return f" Available: {', '.join(siblings or known)}."


def _nest(layers: Iterable[_Layer]) -> dict[str, Any]:
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


def _explain(error: ValidationError, layers: Sequence[_Layer]) -> str:
    """The first thing wrong: key, place, what is wrong with it and what was given."""
    first = error.errors()[0]
    parts = [str(part) for part in first["loc"]]
    key = ".".join(parts[:2]) if ".".join(parts[:2]) in keys() else ".".join(parts)
    place = next((f" in {x.source}" for x in reversed(layers) if key in x.values), "")
    return f"Setting {key!r}{place}: {first['msg']}, not {first['input']!r}."
