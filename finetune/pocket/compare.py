"""Which parts of pocket's recipe are worth what: variants trained for the same time over the same seeds.

Each variant leaves one ingredient out, or has another form or size. All get the same minutes: how many
tokens that is, is measured on the machine before each run, so a variant that makes steps cheaper gets
more of them. A run that is finished is read, one that was stopped goes on.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from statistics import fmean
from typing import Any

from finetune.pocket._run import INGREDIENTS, Recipe, kept_recipe
from finetune.pocket.pretrain import measured, pretrain

__all__ = ["VARIANTS", "compare", "variant"]

VARIANTS = ("pocket", "llama", "wide", "narrow", *(f"without {i}" for i in INGREDIENTS))
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
) -> dict[str, Any]:
    """Train every variant with every seed; the table is also written to ``compare.json``.

    Args:
        minutes: Of training, for each.
        log: Is given the name of a run and its figures now and then.
        recipe: What the variants are variants of.

    Returns:
        By variant: parameters, tokens and exact answers by skill, the mean and each seed's.
    """
    found: dict[str, list[dict[str, Any]]] = {}
    for seed in seeds:
        for name in names:
            wanted = variant(name, replace(recipe or Recipe(), seed=seed))
            folder = out / name.replace(" ", "-") / str(seed)
            found.setdefault(name, []).append(_trained(wanted, minutes, folder, name, log))
            table = {"minutes": minutes, "variants": {n: _row(r) for n, r in found.items()}}
            (out / "compare.json").write_text(json.dumps(table, indent=1) + "\n", encoding="utf-8")
    return table


def _trained(
    recipe: Recipe,
    minutes: float,
    folder: Path,
    name: str,
    log: Callable[[str, dict[str, Any]], None],
) -> dict[str, Any]:
    """Figures of one run, made now unless it is finished."""
    report = folder / "training.json"
    if not report.exists():
        recipe = kept_recipe(folder / "checkpoint.pt") or measured(recipe, minutes)
        pretrain(recipe, folder, lambda figures: log(f"{name}, seed {recipe.seed}", figures))
    kept = json.loads(report.read_text(encoding="utf-8"))
    return {**kept["history"][-1], "parameters": kept["parameters"]}


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
