"""``instar data export`` and ``check``: training rows for others, and as a trainer would see them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from instar._cli_common import (
    AsJson,
    Folder,
    Options,
    Seed,
    emit,
    facts,
    load,
    open_store,
    wait_for,
)

if TYPE_CHECKING:
    from finetune.checking import Checked
    from finetune.curate.base import RowSet
    from instar.config import Config

__all__ = ["register"]

data = typer.Typer(help="What adapters are trained on.", no_args_is_help=True)

Dataset = Annotated[
    str | None,
    typer.Argument(metavar="[DATASET]", help="Hash, or a folder; default: the one curated last."),
]


def register(app: typer.Typer) -> None:
    """Add the commands to the program."""
    app.add_typer(data, name="data")
    data.command("export")(export)
    data.command("check")(check)


def export(
    out: Annotated[Path, typer.Option("--out", help="Folder to write; must not exist.")],
    dataset: Dataset = None,
    curator: Annotated[
        str | None,
        typer.Option(help="Curate all practise so far with this one, see: instar list"),
    ] = None,
    as_json: AsJson = False,
    workspace: Folder = None,
    seed: Seed = None,
    option: Options = None,
) -> None:
    """Write training rows as a folder for the library datasets, with a card and hashes."""
    from instar.errors import UserError

    if dataset and curator:
        raise UserError("Name a dataset, or with --curator how to make one, but not both.")
    config = load(workspace, seed, option)
    found = wait_for(_export(config, dataset, curator, out))
    told = f"{found['summary']} Written to {out}; to check it: instar data check {out}"
    emit(as_json, found, told)


async def _export(
    config: Config, dataset: str | None, curator: str | None, out: Path
) -> dict[str, Any]:
    from finetune.exporting import export as write
    from instar._curating import curated, origin
    from instar.compose import Workspace

    async with Workspace.open(config, create=False) as workspace:
        if curator:
            found: RowSet = curated(workspace, curator)
        else:
            found = _found(config, dataset)
        behind = origin(workspace.store, found.rows)
    write(found, out, behind)
    return {
        "dataset": found.hash,
        "form": found.form,
        "rows": len(found.rows),
        "counts": found.counts,
        "dropped": found.dropped,
        "origin": behind,
        "summary": found.summary,
        "out": str(out),
    }


def check(
    dataset: Dataset = None,
    model: Annotated[str | None, typer.Option(help="The model that would be trained.")] = None,
    as_json: AsJson = False,
    workspace: Folder = None,
    seed: Seed = None,
    option: Options = None,
) -> None:
    """Rows as the trainer would see them: lengths, what is cut, what teaches nothing, stop tokens."""
    from finetune.checking import check as look

    config = load(workspace, seed, option, *([f"model.name={model}"] if model else []))
    found = _found(config, dataset, edited=True)
    checked = look(found.rows, _base(config), _limit(config))
    problems = ([found.summary] if not found.rows else checked.problems) + _unfit(config, checked)
    problems += _edited(found, dataset)
    value = checked.model_dump(mode="json")
    value |= {"dataset": found.hash, "share_cut": checked.share_cut, "problems": problems}
    emit(as_json, value, "\n".join([_shown(found, checked), "", *_verdict(problems)]))
    if problems:
        raise typer.Exit(1)


def _found(config: Config, dataset: str | None, edited: bool = False) -> RowSet:
    """Rows of a folder, which may have been edited since, of a hash in the workspace, or those curated last."""
    from finetune.curate.base import RowSet
    from instar._curating import find, latest
    from instar.errors import UserError

    if dataset and Path(dataset).is_dir():
        return RowSet.load(Path(dataset), edited)
    if dataset is None:
        with open_store(config) as store:
            dataset = latest(store)
        if not (config.workspace / "datasets" / dataset).exists():
            raise UserError(
                f"The rows that were curated last, {dataset}, are gone. The next turn curates anew "
                "(instar evolve); to have some now: instar data export --curator NAME --out DIR"
            )
    return find(config.workspace, dataset)


def _edited(found: RowSet, dataset: str | None) -> list[str]:
    """Whether rows of a folder are others than its card says."""
    from finetune.curate.base import RowSet

    sealed = RowSet.sealed(Path(dataset)) if dataset and Path(dataset).is_dir() else found.hash
    if found.hash == sealed:
        return []
    return [
        f"the rows were changed since they were exported: their hash is not that of the card, {sealed}"
    ]


def _base(config: Config) -> Path:
    from instar._models import Models
    from instar.errors import UserError

    folder = Models(config.model).folder
    if folder is None:
        raise UserError(
            f"Model {config.model.name} runs elsewhere, and its chat template is not here: name a "
            "local one, as in --model local/DIR"
        )
    return folder


def _trainer(config: Config) -> Any:
    from instar._methods import build

    name = config.train.trainer
    return build("finetune.train", "sft" if name == "off" else name, config)


def _limit(config: Config) -> int:
    """Longest row that the trainer takes, in tokens; where it has no limit, the model's own holds."""
    return int(getattr(_trainer(config).config, "max_length", None) or 2**31)


def _unfit(config: Config, checked: Checked) -> list[str]:
    forms = getattr(_trainer(config), "forms", None)
    if not checked.rows or forms is None or checked.form in forms:
        return []
    name = config.train.trainer
    return [f"the rows are {checked.form}, and trainer {name} learns from {' or '.join(forms)}"]


# What is shown


def _shown(found: RowSet, checked: Checked) -> str:
    stops = " ".join(checked.stops)
    added = f"{checked.unended} of {checked.answers} answers, after which the template has none"
    return facts(
        {
            "dataset": found.hash,
            "rows": f"{checked.rows} ({checked.form})",
            "with memory": f"{checked.memories} rows",
            "repeated": f"{checked.repeated} rows",
            "tokens a row": _spread(checked.tokens),
            "of these learnt": _spread(checked.learnt),
            "limit": f"{checked.limit} tokens",
            "too long": f"{len(checked.cut)} rows ({100 * checked.share_cut:.1f} %)",
            "nothing to learn": f"{len(checked.masked)} rows",
            "stop tokens": stops,
            "stop token added": added if checked.unended else "0 answers",
            "prompt drifts": f"{checked.drifted} answers",
        }
    )


def _spread(found: dict[str, int]) -> str:
    return ", ".join(f"{name} {value}" for name, value in found.items())


def _verdict(problems: list[str]) -> list[str]:
    if not problems:
        return ["Nothing would be lost in a training."]
    return ["A training would stumble over this:", *(f"  {line}" for line in problems)]
