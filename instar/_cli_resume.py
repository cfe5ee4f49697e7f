"""``instar bench run --resume``: a run goes on with the settings that it was begun with."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from instar.config import Config

__all__ = ["begun_with"]


def begun_with(config: Config, run: str, given: dict[str, Any], options: list[str]) -> Config:
    """The settings of a run that is gone on with, which nothing on the command line may change.

    Args:
        config: The settings as the command line has them.
        run: Name of the run.
        given: Options of the command by name, None where one was not given.
        options: What was given with ``-o``.

    Raises:
        UserError: Something that was given differs from what the run was begun with.
    """
    from instar import _bench_runs
    from instar import _commands as commands
    from instar.errors import UserError

    kept, was = _bench_runs.begun_with(config.workspace, run)
    changed = any(v is not None and v != was.get(k) for k, v in given.items())
    changed |= any(_setting(kept, o) != _setting(config, o) for o in options)
    if changed or commands.world_argument(kept) != commands.world_argument(config):
        raise UserError(
            "A run goes on as it was begun; only --budget and --concurrency may be others. "
            f"Type: {commands.again(kept, run)}"
        )
    return kept


def _setting(config: Config, option: str) -> Any:
    """What an option ``section.key=value`` sets."""
    value: Any = config.model_dump(mode="json")
    for part in option.partition("=")[0].strip().split("."):
        value = value.get(part) if isinstance(value, dict) else None
    return value
