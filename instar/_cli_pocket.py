"""``instar pocket``: the shipped model, made anew from nothing, and examined."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from instar._cli_common import AsJson, emit

__all__ = ["register"]

_FIELDS = ("step", "tokens", "seconds", "loss")


def register(app: typer.Typer) -> None:
    """Add the commands to the program."""
    group = typer.Typer(help="The small model that ships with Instar.", no_args_is_help=True)
    group.command("pretrain")(pretrain)
    group.command("exam")(exam)
    app.add_typer(group, name="pocket")


def pretrain(
    out: Annotated[Path, typer.Option(metavar="DIR", help="Folder of the new model.")] = Path(
        "pocket-model"
    ),
    tokens: Annotated[int, typer.Option(min=1, help="How many tokens to train on.")] = 14_000_000,
    start: Annotated[
        Path | None, typer.Option("--from", metavar="DIR", help="A pocket model to go on from.")
    ] = None,
    rate: Annotated[float, typer.Option(min=0, help="Peak learning rate.")] = 3e-3,
    decay: Annotated[float, typer.Option(min=0.01, max=1, help="Share in which it falls.")] = 0.4,
    seed: Annotated[int, typer.Option(help="Fixes the start and the stream of data.")] = 0,
    as_json: AsJson = False,
) -> None:
    """Train pocket on generated data; started again with the same settings, it goes on."""
    from finetune.pocket.pretrain import Recipe
    from finetune.pocket.pretrain import pretrain as train

    recipe = Recipe(tokens=tokens, seed=seed, rate=rate, decay=decay)
    _require(start)

    def told(figures: dict[str, Any]) -> None:
        share = figures["tokens"] / tokens
        line = ", ".join(f"{f} {figures[f]}" for f in _FIELDS)
        typer.echo(f"{share:6.1%}  {line}  {json.dumps(figures['exam'])}", err=True)

    try:
        final = train(recipe, out, told, start)
    except KeyboardInterrupt:
        typer.echo("Interrupted. The same command goes on from the last checkpoint.", err=True)
        raise typer.Exit(130) from None
    emit(as_json, {"out": str(out), **final}, f"The model is in {out}.")


def exam(
    model: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Another model than the shipped one.")
    ] = None,
    count: Annotated[int, typer.Option("--n", min=1, help="Number of questions.")] = 3000,
    seed: Annotated[int, typer.Option(help="Which questions.")] = 1,
    as_json: AsJson = False,
) -> None:
    """Share of exact answers by skill, on held-out words."""
    from transformers import AutoModelForCausalLM, AutoTokenizer

    from finetune.pocket import MODEL_DIR
    from finetune.pocket.exam import exam_questions, grade

    folder = model or MODEL_DIR
    _require(folder)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    network = AutoModelForCausalLM.from_pretrained(folder, dtype="float32")
    found = grade(network, tokenizer, exam_questions(seed, count))
    emit(as_json, found, "\n".join(f"{skill:16} {share:6.1%}" for skill, share in found.items()))


def _require(folder: Path | None) -> None:
    from instar.errors import UserError

    if folder is not None and not (folder / "config.json").exists():
        raise UserError(f"{folder} holds no model. Make one: instar pocket pretrain --out {folder}")
