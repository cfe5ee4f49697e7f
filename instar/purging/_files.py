"""What of the folders of a workspace goes in a purge: runs, training rows, the index, adapters.

In the folder of a run the episodes come last: whatever was made of them is gone by then, so that a
purge which is interrupted finds them again and goes on.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Collection, Iterable, Iterator
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from instar.failpoints import reach
from instar.purging._store import Lived, read_episode
from instar.purging._target import Target, Words
from instar.types import Trajectory

__all__ = [
    "Rewrite",
    "clean_run",
    "concerned_rows",
    "drop_adapters",
    "drop_datasets",
    "drop_index",
    "lived_in_runs",
    "strangers",
    "touched_lines",
]

Rewrite = Callable[[Path], None]
"""Writes the pages of a finished run anew from what is left in its folder."""

_EPISODES = "episodes.jsonl"
_FACTS = ("settings.json", "summary.json", "report.json")
_PAGES = ("report.html", "report.png", "episodes.html", "trajectories.jsonl")
_INDEX = ("chroma-*", "graph.json", "lexical.db*")
_BINARY = frozenset({".png", ".safetensors", ".bin", ".pt", ".db", ".sqlite3"})


# Runs


def lived_in_runs(workspace: Path, words: Words | None) -> Iterator[Lived]:
    """The episodes of all runs, those that the store does not have too."""
    for folder in _runs(workspace):
        for text in _lines(folder / _EPISODES):
            try:
                yield read_episode(json.loads(text)["trajectory"], text, words)
            except (ValueError, KeyError, TypeError):
                continue


def _runs(workspace: Path) -> list[Path]:
    return sorted(path for path in (workspace / "runs").glob("*") if path.is_dir())


def _lines(path: Path) -> list[str]:
    if not path.exists():
        return []
    return path.read_text(encoding="utf-8", errors="replace").split("\n")


def touched_lines(workspace: Path, target: Target) -> dict[str, int]:
    """By run, how many of its episodes go or lose a text; 0 where only its figures do."""
    found = {}
    for folder in _runs(workspace):
        changed = sum(_rest(text, target) != text for text in _lines(folder / _EPISODES))
        if changed or any(_fact(folder / name, target) is not None for name in _FACTS):
            found[folder.name] = changed
    return found


def _rest(text: str, target: Target) -> str | None:
    """A line without what goes; None where all of it does."""
    try:
        line = json.loads(text)
        before = Trajectory.model_validate(line["trajectory"])
    except (ValueError, KeyError, TypeError):  # cut off while it was written
        goes = target.words is not None and target.words.may_hold(text)
        return None if goes or any(id in text for id in target.ids) else text
    if target.takes(before):
        return None
    after = target.rest_of(before)
    if after is before:
        return text
    line["trajectory"] = after.model_dump(mode="json")
    return json.dumps(line, ensure_ascii=False)


def _fact(path: Path, target: Target) -> Any:
    """A JSON file without what goes; None where it stays as it is."""
    try:
        before = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    after = target.rest(before)
    return after if after != before else None


def clean_run(folder: Path, target: Target, rewrite: Rewrite) -> None:
    """Take what goes out of a run, and write its pages anew if it was finished."""
    texts = _lines(folder / _EPISODES)
    kept = [rest for text in texts if (rest := _rest(text, target)) is not None]
    for name in _PAGES:
        (folder / name).unlink(missing_ok=True)
    for gone in _pictures(folder, texts, target):
        shutil.rmtree(gone)
    finished = (folder / "summary.json").exists()
    for name in _FACTS:
        fact = _fact(folder / name, target)
        if fact is not None:
            _write(folder / name, json.dumps(fact, indent=2, ensure_ascii=False) + "\n")
    if texts:
        _write(folder / _EPISODES, "\n".join(kept))
    reach("purge.run")
    if finished:
        rewrite(folder)


def _pictures(folder: Path, texts: Iterable[str], target: Target) -> Iterator[Path]:
    """Folders with pictures of the episodes that go."""
    for text in texts:
        try:
            one = Trajectory.model_validate(json.loads(text)["trajectory"])
        except (ValueError, KeyError, TypeError, ValidationError):
            continue
        if target.takes(one):
            found = [arm / f"{one.task.id}-{one.seed}" for arm in folder.glob("screens/*")]
            yield from [path for path in found if path.is_dir()]


def _write(path: Path, text: str) -> None:
    beside = path.with_name(path.name + ".part")
    beside.write_text(text, encoding="utf-8")
    beside.replace(path)


# Training rows, index, adapters


def concerned_rows(workspace: Path, target: Target, shown: Collection[str]) -> list[str]:
    """Names of the datasets with a row that goes.

    Args:
        workspace: The folder.
        target: What goes.
        shown: Episodes in which a memory that goes was shown; rows with memories have its text.
    """
    folders = sorted(path for path in (workspace / "datasets").glob("*") if path.is_dir())
    return [f.name for f in folders if any(_row_goes(t, target, shown) for t in _rows(f))]


def _rows(folder: Path) -> Iterator[str]:
    for path in sorted(folder.rglob("*.jsonl")):
        yield from filter(None, _lines(path))


def _row_goes(text: str, target: Target, shown: Collection[str]) -> bool:
    try:
        row = json.loads(text)
        behind = {row["trajectory"], row.get("against")}
        from_there = bool(target.episodes & behind) or row["task"] in target.tasks
        with_memory = row.get("memories") and row["trajectory"] in shown
    except (ValueError, KeyError, TypeError):
        return True  # nobody can train on it
    return bool(from_there or with_memory or (target.words and target.words.held(row)))


def drop_datasets(workspace: Path, names: Iterable[str]) -> None:
    """Remove datasets whole: with other rows they would be others. The next curation makes new ones."""
    for name in names:
        shutil.rmtree(workspace / "datasets" / name, ignore_errors=True)


def drop_index(workspace: Path) -> None:
    """Remove the index; it is made anew from the store, without embedding, on the next opening."""
    for pattern in _INDEX:
        for path in (workspace / "index").glob(pattern):
            if path.is_dir():
                shutil.rmtree(path)
            else:
                path.unlink()


def drop_adapters(workspace: Path, names: Iterable[str]) -> None:
    """Remove the folders of adapters."""
    for name in names:
        shutil.rmtree(workspace / "adapters" / name, ignore_errors=True)


def strangers(workspace: Path, words: Words) -> list[str]:
    """Files that hold the words and are not ours to change, such as settings and what agents wrote."""
    found = []
    for path in sorted(p for p in workspace.rglob("*") if p.is_file()):
        if path.suffix not in _BINARY:
            text = path.read_text(encoding="utf-8", errors="replace")
            if words.said(text) or (not words.whole and words.may_hold(text)):
                found.append(path.relative_to(workspace).as_posix())
    return found
