"""``instar pocket pretrain``: the shipped model, made anew from nothing."""

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
    out: Annotated[Path, typer.Option(metavar="DIR", help="Folder of the new model.")],
    tokens: Annotated[int, typer.Option(min=1, help="How many tokens to train on.")] = 14_000_000,
    seed: Annotated[int, typer.Option(help="Fixes the start and the stream of data.")] = 0,
    as_json: AsJson = False,
) -> None:
    """Train pocket from nothing; started again with the same settings, it goes on."""
    from finetune.pocket.pretrain import Recipe, pretrain

    recipe = Recipe(tokens=tokens, seed=seed)

    def told(figures: dict[str, Any]) -> None:
        share = figures["tokens"] / tokens
        line = ", ".join(f"{f} {figures[f]}" for f in _FIELDS)
        typer.echo(f"{share:6.1%}  {line}  {json.dumps(figures['exam'])}", err=True)

    try:
        final = pretrain(recipe, out, told)
    except KeyboardInterrupt:
        again = f"instar pocket pretrain --out {out} --tokens {tokens} --seed {seed}"
        typer.echo(f"Interrupted. To go on from the last checkpoint, type: {again}", err=True)
        raise typer.Exit(130) from None
    emit(as_json, {"out": str(out), **final}, f"The model is in {out}.")


def exam(
    model: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Another model than the shipped one.")
    ] = None,
    count: Annotated[int, typer.Option("--n", min=1, help="Number of questions.")] = 4000,
    seed: Annotated[int, typer.Option(help="Which questions.")] = 1,
    as_json: AsJson = False,
) -> None:
    """Share of exact answers by skill, on held-out words."""
    from transformers import AutoModelForCausalLM, AutoTokenizer

    from finetune.pocket import MODEL_DIR
    from finetune.pocket.exam import exam_questions, grade
    from instar.errors import UserError

    folder = model or MODEL_DIR
    if not (folder / "config.json").exists():
        raise UserError(f"{folder} holds no model. Make one: instar pocket pretrain --out {folder}")
    tokenizer = AutoTokenizer.from_pretrained(folder)
    network = AutoModelForCausalLM.from_pretrained(folder, dtype="float32")
    found = grade(network, tokenizer, exam_questions(seed, count))
    emit(as_json, found, "\n".join(f"{skill:16} {share:6.1%}" for skill, share in found.items()))
