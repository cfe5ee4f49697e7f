"""The settings of a workspace: typed, frozen, and from five places.

Later ones win: the defaults here, a preset, ``instar.toml``, the environment
(``INSTAR_SECTION__KEY``), and ``-o section.key=value``. A key that does not exist is an error that
names the place it came from and the nearest key that does.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Literal

from pydantic import (
    AfterValidator,
    Field,
    JsonValue,
    PositiveFloat,
    PositiveInt,
    ValidationError,
)

from instar import _config_layers as places
from instar._config_agent import Agent, Section, Share
from instar._config_curriculum import Curriculum
from instar._config_service import Service, Telemetry
from instar._urls import Url
from instar.errors import ConfigError, UnknownName
from instar.types import MemoryKind

__all__ = ["Config", "keys", "load_config", "presets"]

_PRESETS = Path(__file__).parent / "presets"

_HOURS = re.compile(r"(?:[01]\d|2[0-3]):[0-5]\d")


def _hours(text: str) -> str:
    begin, _, end = text.partition("-")
    if not _HOURS.fullmatch(begin) or not _HOURS.fullmatch(end) or begin == end:
        raise ValueError("hours are written as 22:00-06:00")
    return text


class Model(Section):
    """The model that acts. Tasks are practised at a temperature, and measured without."""

    name: str = "pocket"
    base_url: str | None = None
    temperature_practise: Annotated[float, Field(ge=0)] = 0.7
    max_tokens: PositiveInt = 160
    timeout: PositiveFloat = 120.0
    device: str = "auto"
    constrained: bool = False


class Memory(Section):
    """The bank. Without a floor its own holds; without a model distillers ask the one that acts.

    What is withheld is withheld in practice; in live sessions only with ``withhold_live``. An
    embedder ``litellm/<model>`` may stand at a URL of one's own; with a URL of a Chroma server the
    index lives there instead of in the workspace. With a judge, a verifier, distillers of a stream
    go by its verdict instead of the world's score, and it judges recorded sessions if its audit allows.
    """

    embedder: str = "hash"
    embedder_url: Url | None = None
    index_url: Url | None = None
    k: PositiveInt = 4
    floor: float | None = None
    distill: tuple[str, ...] = ("workflow", "rules")
    model: str | None = None
    judge: str | None = None
    forget: tuple[str, ...] = ("uplift", "capacity")
    tokens: PositiveInt = 2_000
    namespaces: tuple[str, ...] = ("shared",)
    kinds: tuple[MemoryKind, ...] = ()
    same: Share | None = 0.95
    withhold_bank: Share = 0.15
    withhold_candidate: Share = 0.5
    withhold_active: Share = 0.1
    withhold_live: bool = False


class Audit(Section):
    """How sure it must be that a judge's passes are passes, and on how many known episodes it is asked."""

    precision: Share = 0.8
    episodes: PositiveInt = 60


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
    """From verified successes to an adapter; what is not set is the trainer's own default.

    A dry run encodes the rows and says what a training would take, and makes no adapter. Several
    processes, one a device, share the rows of each step.
    """

    curator: str = "rft"
    trainer: str = "sft"
    minutes: PositiveFloat | None = None
    steps: PositiveInt | None = None
    lr: PositiveFloat | None = None
    rank: PositiveInt | None = None
    dry_run: bool = False
    processes: PositiveInt = 1


class Gate(Section):
    """The measurement that lets a candidate in: pairs of episodes, and how much worse is not worse.

    ``test`` says how it is looked at on the way, ``looks`` times at most. Of all promotions of a
    workspace at most the share ``fdr`` is expected to be false. What is promoted must not give in to
    a probe more often than before, in so many tasks each. What sheds memories and changes nothing else
    gets ``moult_factor`` times as many tasks: its success hardly differs, and that it has lost none
    takes more of them to show than a gain.
    """

    tasks: PositiveInt = 60
    margin: Share = 0.05
    group_margin: Share = 0.1
    moult_factor: PositiveInt = 3
    test: Literal["once", "spending", "betting"] = "spending"
    looks: PositiveInt = 4
    fdr: Annotated[float, Field(gt=0, le=0.5)] = 0.1
    probes: tuple[str, ...] = ("injection", "shortcut")
    probe_tasks: PositiveInt = 16


class Moult(Section):
    """What an adapter has made needless: tasks done with memories and without; 0 sheds nothing. Six at
    least tell about a group; where there are too few for all groups, some wait for another turn.
    """

    tasks: Annotated[int, Field(ge=0)] = 104


class Report(Section):
    """The held-out measurement at the end: tasks an arm."""

    tasks: PositiveInt = 60


class Limits(Section):
    """What ends a run early, to be gone on with; unset is unlimited. Hours are those of the machine."""

    minutes: PositiveFloat | None = None
    tokens: PositiveInt | None = None
    usd: PositiveFloat | None = None
    free_gb: Annotated[float, Field(ge=0)] = 0.5
    window: Annotated[str, AfterValidator(_hours)] | None = None
    wait: Annotated[float, Field(ge=0)] = 0.0


class Once(Section):
    """What a turn by a clock wants before it begins, and the command that is run where it fails."""

    successes: PositiveInt = 1
    on_failure: str | None = None


class Evolve(Section):
    """How many generations one run adds."""

    generations: PositiveInt = 3


class Prune(Section):
    """What is let go: adapters that were rejected or left undecided so many turns ago (of these never
    the newest) or are beyond a number, the rows that no kept adapter was made of, finished bench runs
    and reports beyond a number (unset: none of them). With ``auto`` a run does it by itself after each turn; `instar.pruning` says what always stays.
    """

    auto: bool = False
    turns: Annotated[int, Field(ge=0)] = 3
    rejected: Annotated[int, Field(ge=0)] = 4
    runs: Annotated[int | None, Field(ge=1)] = None


class Config(Section):
    """All settings. ``methods`` holds, by id of a method, what goes to that method's own config."""

    preset: str = "pocket"
    seed: int = 0
    workspace: Path = Path("instar-workspace")
    model: Model = Model()
    agent: Agent = Agent()
    memory: Memory = Memory()
    audit: Audit = Audit()
    curriculum: Curriculum = Curriculum()
    world: World = World()
    practise: Practise = Practise()
    train: Train = Train()
    gate: Gate = Gate()
    moult: Moult = Moult()
    report: Report = Report()
    evolve: Evolve = Evolve()
    limits: Limits = Limits()
    once: Once = Once()
    prune: Prune = Prune()
    service: Service = Service()
    telemetry: Telemetry = Telemetry()
    methods: dict[str, dict[str, JsonValue]] = Field(default_factory=dict)


def keys() -> list[str]:
    """Every dotted key there is, in order; a key of ``methods`` is free."""
    found: list[str] = []
    for name, field in Config.model_fields.items():
        kind = field.annotation
        if isinstance(kind, type) and issubclass(kind, Section):
            found += [f"{name}.{key}" for key in kind.model_fields]
        elif name != places.FREE:
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
        UnknownName: A preset that does not exist; one of your own is a path that ends in ``.toml``.
    """
    known = keys()
    layers = [places.file(path), places.environment(env or {}, known), places.options(overrides)]
    named = [layer.values["preset"] for layer in layers if "preset" in layer.values]
    layers.insert(0, _preset(str(named[-1]) if named else Config().preset))
    for layer in layers:
        places.check_keys(layer, known)
    layers[1:1] = places.of_outside(layers[1:])
    layers = places.later_wins(layers)
    try:
        return Config.model_validate(places.nest(layers))
    except ValidationError as error:
        raise ConfigError(places.explain(error, layers, known)) from error


def _preset(name: str) -> places.Layer:
    if name.endswith(".toml"):
        return places.toml(Path(name).expanduser(), "Presets: " + ", ".join(presets()))
    if name not in presets():
        raise UnknownName("preset", name, presets(), "Your own: a path that ends in .toml")
    return places.toml(_PRESETS / f"{name}.toml")
