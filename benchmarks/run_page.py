"""A bench run as pages: `report.html` with its figures, `episodes.html` with everything that was said.

The report shows every task by arm as one square, green where it was clean, which leads to the
episode. Both are files without scripts; they are written from the run's folder and can be written
again (`instar bench report RUN`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import Field

from benchmarks._charts import arms_chart, learning_chart, percent
from benchmarks._figure import COLOURS, draw
from benchmarks._html import page, write_text
from benchmarks.film import pictures
from benchmarks.report import Files
from benchmarks.runner import Line, Settings, write_json
from benchmarks.transcripts import conversation
from instar.answers import answer_lines
from instar.types import Record

__all__ = ["screens", "write"]

_SURE = 0.05
"""Below this p, after Holm's correction, the headline names a difference."""


def screens(folder: Path, arm: str) -> Path:
    """Where the pictures of an arm's web episodes lie."""
    return folder / "screens" / arm.replace(":", "_").replace("/", "_")


class _Page(Record):
    """What the report of a run shows, as JSON values; see `benchmarks.summary`."""

    title: str
    facts: dict[str, str]
    arms: dict[str, dict[str, Any]]
    left_out: dict[str, str] = Field(default_factory=dict)
    paired: list[dict[str, Any]]
    levels: dict[str, float] = Field(default_factory=dict)
    leakage: dict[str, Any]
    fairness: dict[str, Any]
    health: list[str]
    complete: bool
    repeated: bool
    answers: dict[str, list[str]] = Field(default_factory=dict)


def write(
    folder: Path, settings: Settings, summary: Mapping[str, Any], lines: Sequence[Line]
) -> Files:
    """Write `report.html`, `.png` and `.json`, and `episodes.html` into the folder of a run."""
    data = _data(settings, summary)
    lines = _ordered(settings, lines)
    learnt = {arm: f["learning"] for arm, f in data.arms.items() if "learning" in f}
    shown = {
        "data": data,
        "colours": COLOURS,
        "arms_svg": arms_chart(data.arms, data.levels),
        "headline": _headline(data),
        "grid": _grid(settings, lines),
        "families": _counts(data.arms, "families"),
        "rules": _counts(data.arms, "rules"),
        "learnt": learnt,
        "learning_svg": learning_chart({a: f["curve"] for a, f in learnt.items()}, data.levels),
    }
    html, png = folder / "report.html", folder / "report.png"
    write_text(html, page("run.html.jinja", **shown))
    write_json(folder / "report.json", data.model_dump(mode="json"))
    episodes = [_episode(line) | {"pictures": _pictures(folder, line)} for line in lines]
    write_text(
        folder / "episodes.html",
        page("episodes.html.jinja", data=data, colours=COLOURS, episodes=episodes),
    )
    draw(png, data.title, (), data.arms, data.levels)
    return Files(html, png)


def _ordered(settings: Settings, lines: Sequence[Line]) -> list[Line]:
    """By task, so that a row reads like the next and a page written anew is the same; a stream as it went."""
    if settings.protocol == "stream":
        return sorted(lines, key=lambda line: settings.arms.index(line.arm))
    return sorted(lines, key=lambda line: (settings.arms.index(line.arm), *line.key[1:]))


def _data(settings: Settings, summary: Mapping[str, Any]) -> _Page:
    facts = {
        "run": settings.run,
        "model": settings.model,
        "generation": settings.generation,
        "tasks": str(settings.n),
        "episodes": _episodes(settings, summary),
        "attempts": str(settings.attempts),
        "seed": str(settings.seed),
        "protocol": settings.protocol,
    }
    return _Page(
        title=f"{settings.benchmark}: {settings.namespace}",
        facts=facts,
        arms=summary["arms"],
        left_out=summary["left_out"],
        paired=summary["paired"],
        levels=summary.get("levels") or {},
        leakage=summary["leakage"],
        fairness=summary.get("fairness") or {},
        health=summary.get("health") or [],
        complete=summary.get("complete", True),
        repeated=settings.attempts > 1,
        answers={arm: answer_lines(a) for arm, a in (summary.get("answers") or {}).items()},
    )


def _episodes(settings: Settings, summary: Mapping[str, Any]) -> str:
    done = sum(figures["n"] for figures in summary["arms"].values())
    whole = settings.n * settings.attempts * len(settings.arms)
    return str(done) if done == whole else f"{done} of {whole}"


def _headline(data: _Page) -> str:
    """Each arm in one sentence, with no claim beyond the figures."""
    known = [f"{n.replace('_', ' ')} {percent(f['success'])}" for n, f in data.arms.items()]
    shown = [p for p in data.paired if p.get("p_holm") is not None and p["p_holm"] < _SURE]
    ordered = [(p["b"], p["a"]) if p["difference"] > 0 else (p["a"], p["b"]) for p in shown]
    sure = [f"{better} over {worse}".replace("_", " ") for better, worse in ordered]
    found = (
        f" More than chance, after Holm's correction: {', '.join(sure)}."
        if sure
        else " No arm is shown to be better than another."
        if data.paired
        else ""
    )
    return "Clean success on held-out tasks: " + ", ".join(known) + "." + found


def _grid(settings: Settings, lines: Sequence[Line]) -> dict[str, list[dict[str, str]]]:
    """Verdicts by arm."""
    grid: dict[str, list[dict[str, str]]] = {arm: [] for arm in settings.arms}
    for line in lines:
        grid[line.arm].append(
            {
                "at": _anchor(line),
                "status": line.trajectory.score.status.value,
                "task": line.trajectory.task.instruction,
            }
        )
    return grid


def _counts(
    arms: Mapping[str, Mapping[str, Any]], of: str
) -> dict[str, dict[str, list[int] | None]]:
    """Of each family, or kind of rule, how often an arm did well in how many episodes."""
    names = sorted({name for figures in arms.values() for name in figures.get(of, {})})
    return {
        name: {arm: figures.get(of, {}).get(name) for arm, figures in arms.items()}
        for name in names
    }


def _anchor(line: Line) -> str:
    return f"{line.arm}-{line.key[1]}-{line.attempt}"


def _episode(line: Line) -> dict[str, Any]:
    trajectory = line.trajectory
    return {
        "at": _anchor(line),
        "arm": line.arm,
        "task": trajectory.task.instruction,
        "status": trajectory.score.status.value,
        "evidence": trajectory.score.evidence,
        "stop": trajectory.stop.value,
        "steps": len(trajectory.steps),
        "messages": conversation(trajectory),
    }


def _pictures(folder: Path, line: Line) -> list[str]:
    found = pictures(screens(folder, line.arm), line.key[1], line.trajectory.seed)
    return [path.relative_to(folder).as_posix() for path in found]
