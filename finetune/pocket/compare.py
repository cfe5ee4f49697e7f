"""Which parts of pocket's recipe are worth what: variants trained for the same time over the same seeds.

Each variant leaves one ingredient out, or has another form or size. All get the same minutes: how many
tokens that is, is measured for all of them in turn before anything is trained, so a variant that makes steps
cheaper gets more of them, and every seed of it as many as the others, whatever else the machine does
meanwhile. The speeds are kept with the runs: stopped, the comparison goes on at another time, or on
another machine, as the same one. A run that is finished is read.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from statistics import fmean
from typing import Any

from finetune.pocket import INGREDIENTS
from finetune.pocket._run import Recipe
from finetune.pocket.pretrain import pretrain, speed
from instar.errors import UserError

__all__ = ["VARIANTS", "compare", "variant"]

VARIANTS = ("pocket", "llama", "wide", "narrow", *(f"without {i}" for i in INGREDIENTS))
_ROUNDS = 3
_WIDTHS = {"wide": 256, "narrow": 128}


def variant(name: str, recipe: Recipe) -> Recipe:
    """The recipe of one of `VARIANTS`.

    Raises:
        ValueError: There is no such variant.
    """
    if name not in VARIANTS:
        raise ValueError(f"no variant {name!r}; there are {', '.join(VARIANTS)}")
    if name == "llama":
        return replace(recipe, form="llama")
    if name in _WIDTHS:
        return replace(recipe, width=_WIDTHS[name])
    if name.startswith("without "):
        return replace(recipe, without=(name.removeprefix("without "),))
    return recipe


def compare(
    names: Sequence[str],
    seeds: Sequence[int],
    minutes: float,
    out: Path,
    log: Callable[[str, dict[str, Any]], None],
    recipe: Recipe | None = None,
    stop: Callable[[], bool] = lambda: False,
) -> dict[str, Any]:
    """Train every variant with every seed; the table is also written to ``compare.json``.

    Args:
        minutes: Of training, for each.
        log: Is given the name of a run and its figures now and then.
        recipe: What the variants are variants of.
        stop: As of `pretrain`.

    Returns:
        By variant: parameters, tokens and exact answers by skill, the mean and each seed's.

    Raises:
        UserError: There are finished runs of another length.
    """
    recipe = recipe or Recipe()
    speeds = _speeds(names, out, recipe)
    found: dict[str, list[dict[str, Any]]] = {}
    for seed in seeds:
        for name in names:
            tokens = max(1, round(speeds[name] * minutes * 60))
            wanted = variant(name, replace(recipe, seed=seed, tokens=tokens))
            folder = out / name.replace(" ", "-") / str(seed)
            found.setdefault(name, []).append(_trained(wanted, folder, name, log, stop))
            table = {"minutes": minutes, "variants": {n: _row(r) for n, r in found.items()}}
            _write(out / "compare.json", table)
    return table


def _speeds(names: Sequence[str], out: Path, recipe: Recipe) -> dict[str, float]:
    """Tokens a second of every variant: its fastest of a few rounds, as what else runs can only slow it."""
    path = out / "speeds.json"
    kept = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    missing = [n for n in names if n not in kept]
    rounds = [{n: speed(variant(n, recipe)) for n in missing} for _ in range(_ROUNDS)]
    if missing:
        out.mkdir(parents=True, exist_ok=True)
        kept |= {n: round(max(r[n] for r in rounds), 1) for n in missing}
        _write(path, kept)
    return dict(kept)


def _trained(
    recipe: Recipe,
    folder: Path,
    name: str,
    log: Callable[[str, dict[str, Any]], None],
    stop: Callable[[], bool],
) -> dict[str, Any]:
    """Figures of one run, made now unless it is finished.

    Raises:
        UserError: It is finished, but was of another length.
    """
    report = folder / "training.json"
    if not report.exists():
        pretrain(recipe, folder, lambda figures: log(f"{name}, seed {recipe.seed}", figures), stop)
    kept = json.loads(report.read_text(encoding="utf-8"))
    if kept["recipe"]["tokens"] != recipe.tokens:
        raise UserError(
            f"{report} is of {kept['recipe']['tokens']:,} tokens, and these minutes are "
            f"{recipe.tokens:,}. Compare with the minutes of then, or in another --out."
        )
    return {**kept["history"][-1], "parameters": kept["parameters"]}


def _write(path: Path, found: Mapping[str, Any]) -> None:
    path.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")


def _row(runs: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    skills = runs[0]["exam"]
    exams = {s: [float(r["exam"][s]) for r in runs] for s in skills}
    return {
        "parameters": runs[0]["parameters"],
        "tokens": [r["tokens"] for r in runs],
        "exam": {s: round(fmean(values), 3) for s, values in exams.items()},
        "mean": [round(fmean(r["exam"].values()), 3) for r in runs],
        "seeds": exams,
    }
