"""``instar memory list --by uplift`` and ``instar memory why``: what memories are worth."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from instar._cli_common import AsJson, Folder, Seed, by_prefix, emit, facts, load, open_store, table

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from instar.store import Store
    from instar.types import MemoryItem, Trajectory
    from memory.worth import Worth

__all__ = ["by_uplift", "register"]

_WHAT_CHANGES = (
    "What a unit changes: points over all episodes of this model, by what chance withheld, with an interval at "
    "95 %; memory list --by uplift draws it towards what its kind is worth."
)


def register(app: typer.Typer) -> None:
    """Add the commands to ``instar memory``."""
    app.command("why")(why)


def by_uplift(
    store: Store, items: Sequence[MemoryItem], model: str, plot: Path | None, none: str
) -> tuple[dict[str, Any], str]:
    """The items by what they are worth to a model, as a value and as a table.

    Args:
        plot: Where to draw them, if anywhere.
        none: What is said in place of the table where there are no items.
    """
    from instar._worthing import valued, writers
    from memory.worth import by_author

    found = valued(store, items, model)
    units = [
        {"items": [i.id for i in of], "status": _status(of), "worth": _dumped(worth)}
        | {"members": {i.id: _dumped(found.members.get(i.id)) for i in of}}
        for of, worth in found.units
    ]
    rows = [row for of, worth in found.units for row in _rows(of, worth, found.members)]
    head = ["item", "status", "uplift", "95 %", "shown/seen", "steps", "needs", "memory"]
    said = f"Experience: {found.line} ({model}, {found.episodes} episodes)"
    text = f"{said}\n\n{table(head, rows, none)}"
    authors = by_author(found.observed, writers(store))
    if authors:
        written = [[w.name, *_figures(w)] for w in authors]
        text += f"\n\n{table(['written by', *head[2:-1]], written)}"
    if plot is not None:
        text += f"\n\n{_drawn(found.units, said, plot)}"
    value = {"line": found.line, "episodes": found.episodes, "bank": _dumped(found.bank)}
    return {**value, "units": units, "authors": [_dumped(w) for w in authors]}, text


def _dumped(worth: Worth | None) -> dict[str, Any] | None:
    return worth.model_dump(mode="json") if worth else None


def _status(of: Sequence[MemoryItem]) -> str:
    """The status of a unit; of one whose memories differ in it, how many have which."""
    counts = Counter(i.status.value for i in of)
    if len(counts) == 1:
        return next(iter(counts))
    return ", ".join(f"{n} {status}" for status, n in counts.most_common())


def _rows(
    of: Sequence[MemoryItem], worth: Worth | None, members: Mapping[str, Worth]
) -> Iterator[list[str]]:
    """A unit on a line; below one of several memories each of these."""
    first, several = of[0], len(of) > 1
    name = f"{first.id} +{len(of) - 1}" if several else first.id
    yield [name, _status(of), *_figures(worth), _said(first)]
    for item in of if several else ():
        yield [f"- {item.id}", item.status.value, *_figures(members.get(item.id)), _said(item)]


def _said(item: MemoryItem) -> str:
    return f"{item.when} -> {item.content}"


def _figures(worth: Worth | None) -> list[str]:
    if worth is None:
        return [""] * 5
    if not 0 < worth.shown < worth.n:
        # Always shown, or never: there is nothing yet to compare with.
        return ["", "", f"{worth.shown}/{worth.n}", "", str(worth.needed or "")]
    steps = worth.steps
    return [
        f"{100 * max(-1.0, min(1.0, worth.shrunk)):+.0f}",
        _points(worth.success.interval),
        f"{worth.shown}/{worth.n}",
        f"{steps.estimate:+.1f} [{steps.interval[0]:+.1f}, {steps.interval[1]:+.1f}]",
        str(worth.needed) if worth.needed else worth.verdict.value,
    ]


def _points(interval: Sequence[float]) -> str:
    low, high = (f"{100 * end:+.0f}" for end in interval)
    return f"[{low}, {high}]"


def _drawn(
    units: Sequence[tuple[Sequence[MemoryItem], Worth | None]], title: str, path: Path
) -> str:
    from instar.errors import UserError
    from memory._worth_plot import draw_worth

    found = [worth for _, worth in units if worth is not None]
    if not found:
        return "Nothing to draw yet: of none of these memories is it known what it is worth."
    names = {w.name: f"{of[0].id[:6]} {of[0].title[:34]}" for of, w in units if w is not None}
    try:
        draw_worth(found, names, title).savefig(path, dpi=120)
    except (OSError, ValueError) as error:
        raise UserError(f"Cannot draw into {path}: {error}. Name a .png, .svg or .pdf.") from error
    return f"Picture: {path}"


def why(
    trajectory: Annotated[str, typer.Argument(help="Its id; the beginning is enough.")],
    as_json: AsJson = False,
    workspace: Folder = None,
    seed: Seed = None,
) -> None:
    """What was shown, withheld and cited in an episode, and what that changed."""
    from instar._worthing import ids, told_by

    config = load(workspace, seed, None)
    with open_store(config) as store:
        found = store.trajectory(by_prefix(trajectory, ids(store)))
        told = told_by(store, found)
    bank = found.bank.model_dump(mode="json") if found.bank else None
    value = {"trajectory": found.id, "bank": bank, "memories": told}
    emit(as_json, value, f"{_episode(found)}\n\n{_memories(told)}")


def _episode(found: Trajectory) -> str:
    bank = ""
    if found.bank is not None:
        state = "shown" if found.bank.shown else "withheld as a whole"
        bank = f"{state} (probability of being shown {found.bank.propensity:g})"
    return facts(
        {
            "episode": found.id,
            "task": found.task.instruction,
            "outcome": f"{found.score.status.value}, {len(found.steps)} steps",
            "run for": found.purpose,
            "generation": found.generation,
            "bank": bank or "no draw: nothing was withheld, or nothing was recalled",
        }
    )


def _memories(told: Sequence[dict[str, Any]]) -> str:
    rows = [
        [
            t["label"],
            t["item"],
            f"{'shown' if t['shown'] else 'withheld'} ({t['propensity']:g})",
            f"{t['relevance']:.2f}",
            ", ".join(str(i + 1) for i in t["cited"]) or "never",
            _share(t["success_shown"], t["episodes_shown"]),
            _share(t["success_withheld"], t["episodes_withheld"]),
            _changes(t["worth"]),
            f"{t['when']} -> {t['content']}",
        ]
        for t in told
    ]
    head = ["", "item", "drawn", "near", "cited in turn", "task with it", "without it"]
    head += ["its unit changes success by", "memory"]
    text = table(head, rows, "No memory was recalled: none was near enough.")
    return f"{text}\n\n{_WHAT_CHANGES}" if told else text


def _changes(worth: Mapping[str, Any] | None) -> str:
    """The effect of the unit over all episodes, by what chance withheld."""
    if worth is None or not 0 < worth["shown"] < worth["n"]:
        return "not known"
    success = worth["success"]
    # Few episodes, weighted by their odds, may estimate more than there can be.
    effect = max(-1.0, min(1.0, success["estimate"]))
    return f"{100 * effect:+.0f} {_points(success['interval'])}, {worth['verdict']}"


def _share(success: float | None, n: int) -> str:
    return "" if success is None else f"{success:.0%} of {n}"
