"""``instar pocket``: the shipped model, made anew from nothing, and examined."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from statistics import fmean
from typing import Annotated, Any

import typer

from finetune.pocket import INGREDIENTS
from instar._cli_common import AsJson, emit, table

__all__ = ["register"]

_FIELDS = ("step", "tokens", "seconds", "loss")

Out = Annotated[Path, typer.Option(metavar="DIR", help="Folder of what is made.")]


def register(app: typer.Typer) -> None:
    """Add the commands to the program."""
    group = typer.Typer(help="The small model that ships with Instar.", no_args_is_help=True)
    group.command("pretrain")(pretrain)
    group.command("exam")(exam)
    group.command("compare")(compare)
    app.add_typer(group, name="pocket")


def pretrain(
    out: Out = Path("pocket-model"),
    tokens: Annotated[int | None, typer.Option(min=1, help="How many tokens to train on.")] = None,
    minutes: Annotated[
        float | None, typer.Option(min=0.1, help="Or for how long, by the speed measured first.")
    ] = None,
    seed: Annotated[int, typer.Option(help="Fixes the start and the stream of data.")] = 0,
    form: Annotated[str, typer.Option(help="lfm2, or llama to compare.")] = "lfm2",
    width: Annotated[int, typer.Option(min=16, help="Size of the residual.")] = 192,
    layers: Annotated[int, typer.Option(min=2, help="Number of layers; even.")] = 6,
    without: Annotated[
        list[str] | None,
        typer.Option(metavar="INGREDIENT", help=f"Leave out one of: {', '.join(INGREDIENTS)}."),
    ] = None,
    device: Annotated[str, typer.Option(help="cpu, cuda, or auto.")] = "auto",
    n: Annotated[int, typer.Option(min=1, help="Questions a skill in the exam at the end.")] = 500,
    as_json: AsJson = False,
) -> None:
    """Train pocket on generated data; started again with the same settings, it goes on."""
    from finetune.pocket._run import DEVICES, kept_recipe
    from finetune.pocket.pretrain import Recipe, measured
    from finetune.pocket.pretrain import pretrain as train
    from instar.errors import UnknownName

    _check(form, width, layers, without or [], tokens, minutes)
    if device not in DEVICES:
        raise UnknownName("device", device, DEVICES)
    _quiet()
    _make(out)
    recipe = Recipe(
        seed=seed,
        form=form,
        width=width,
        layers=layers,
        without=tuple(without or []),
        device=device,
        final_each=n,
        tokens=tokens or Recipe().tokens,
    )
    if (final := _complete(out, recipe, minutes is not None)) is not None:
        told = f"{_exam_table(final['exam'])}\n\nThe model in {out} is complete already."
        emit(as_json, {"out": str(out), **final}, told)
        return
    with _interruptible() as stop:
        if minutes is not None and (kept := kept_recipe(out / "checkpoint.pt")):
            recipe = replace(recipe, tokens=kept.tokens)
        elif minutes is not None:
            typer.echo("Measuring the speed.", err=True)
            recipe = measured(recipe, minutes)
        typer.echo(
            f"{recipe.tokens:,} tokens, then an exam of {n} questions a skill. Ctrl-C keeps what is "
            "done.",
            err=True,
        )
        final = train(recipe, out, lambda figures: _told(figures, recipe.tokens), stop)
    emit(
        as_json,
        {"out": str(out), **final},
        f"{_exam_table(final['exam'])}\n\nThe model is in {out}.",
    )


def compare(
    minutes: Annotated[float, typer.Option(min=0.1, help="Of training, for each run.")] = 10.0,
    seeds: Annotated[int, typer.Option(min=1, help="Number of seeds.")] = 3,
    variants: Annotated[
        list[str] | None,
        typer.Option(
            "--variant",
            help="Only these; default: pocket, llama, wide, narrow, and 'without X' for each "
            "ingredient of pretrain.",
        ),
    ] = None,
    n: Annotated[int, typer.Option(min=1, help="Questions a skill, at the end.")] = 100,
    out: Out = Path("pocket-compare"),
    as_json: AsJson = False,
) -> None:
    """Train variants of pocket for the same time and examine them; resumes."""
    from finetune.pocket._run import Recipe
    from finetune.pocket.compare import VARIANTS
    from finetune.pocket.compare import compare as run
    from instar.errors import UnknownName

    for name in variants or []:
        if name not in VARIANTS:
            raise UnknownName("variant", name, VARIANTS)

    def told(name: str, figures: dict[str, Any]) -> None:
        typer.echo(f"{name}: ", err=True, nl=False)
        _told(figures, None)

    _quiet()
    _make(out)
    with _interruptible() as stop:
        recipe = Recipe(final_each=n)
        found = run(variants or VARIANTS, range(seeds), minutes, out, told, recipe, stop)
    rows = [
        [name, f"{v['parameters'] / 1e6:.2f} M", f"{max(v['tokens']) / 1e6:.2f} M",
         *(f"{100 * m:.0f}" for m in v["mean"])]
        for name, v in found["variants"].items()
    ]  # fmt: skip
    head = ["variant", "parameters", "tokens", *(f"seed {s}" for s in range(seeds))]
    said = "Exact answers in %, the mean over the skills of each."
    emit(as_json, found | {"out": str(out)}, f"{table(head, rows)}\n\n{said}")


def _check(
    form: str,
    width: int,
    layers: int,
    without: list[str],
    tokens: int | None,
    minutes: float | None,
) -> None:
    from finetune.pocket.start import FORMS
    from instar.errors import UnknownName, UserError

    if form not in FORMS:
        raise UnknownName("form", form, FORMS)
    for name in without:
        if name not in INGREDIENTS:
            raise UnknownName("ingredient", name, INGREDIENTS)
    if width % 16:
        raise UserError(f"--width {width} is no multiple of 16.")
    if layers % 2:
        raise UserError(f"--layers {layers} is odd: layers of two sorts take turns.")
    if tokens is not None and minutes is not None:
        raise UserError("Choose --tokens or --minutes, not both.")


def _complete(out: Path, recipe: Any, timed: bool) -> dict[str, Any] | None:
    """The final figures of a model that is there already; None where there is none.

    Raises:
        UserError: It is another one than is asked for.
    """
    from finetune.pocket._run import recipe_of, weighty
    from finetune.pocket.pretrain import finished
    from instar.errors import UserError

    if (report := finished(out)) is None:
        return None
    asked, made = weighty(recipe), weighty(recipe_of(report["recipe"]))
    other = [k for k in asked if asked[k] != made[k] and not (timed and k == "tokens")]
    if other:
        told = ", ".join(f"{k} {made[k]}, not {asked[k]}" for k in other)
        raise UserError(f"{out} holds another model: {told}. Choose another: --out DIR")
    return dict(report["history"][-1])


def _make(out: Path) -> None:
    from instar.errors import UserError

    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(
            f"{out} cannot be made a folder: {error.strerror}. Choose another: --out DIR"
        ) from error


def _quiet() -> None:
    """Keep what transformers says while it loads and saves off the screen."""
    from transformers.utils import logging

    logging.set_verbosity_error()
    logging.disable_progress_bar()


@contextmanager
def _interruptible() -> Iterator[Callable[[], bool]]:
    """Tells whether somebody asked to stop; asked twice, all is dropped at once."""
    asked: list[int] = []

    def ask(number: int, frame: Any) -> None:
        if asked:
            raise KeyboardInterrupt
        asked.append(number)
        typer.echo("Stopping after this step. Once more: at once.", err=True)

    before = signal.signal(signal.SIGINT, ask)
    try:
        yield lambda: bool(asked)
    except KeyboardInterrupt:
        typer.echo("Interrupted. The same command goes on from the last checkpoint.", err=True)
        raise typer.Exit(130) from None
    finally:
        signal.signal(signal.SIGINT, before)


def _told(figures: dict[str, Any], tokens: int | None) -> None:
    share = f"{min(1.0, figures['tokens'] / tokens):6.1%}  " if tokens else ""
    line = ", ".join(f"{f} {figures[f]}" for f in _FIELDS)
    exam = f", exam {fmean(figures['exam'].values()):.1%}" if figures["exam"] else ""
    typer.echo(f"{share}{line}{exam}", err=True)


def _exam_table(found: dict[str, float]) -> str:
    return "\n".join(f"{skill:16} {share:6.1%}" for skill, share in found.items())


def exam(
    model: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Another model than the shipped one.")
    ] = None,
    each: Annotated[int, typer.Option("--n", min=1, help="Questions of each skill.")] = 500,
    seed: Annotated[int, typer.Option(help="Which questions.")] = 1,
    as_json: AsJson = False,
) -> None:
    """Share of exact answers by skill, on held-out words."""
    from transformers import AutoModelForCausalLM, AutoTokenizer

    from finetune.pocket import MODEL_DIR
    from finetune.pocket.exam import exam_questions, grade
    from instar.errors import CannotLoad

    folder = model or MODEL_DIR
    _require(folder)
    _quiet()
    try:
        tokenizer = AutoTokenizer.from_pretrained(folder)
        network = AutoModelForCausalLM.from_pretrained(folder, dtype="float32")
    except Exception as error:
        raise CannotLoad(folder, error) from error
    found = grade(network, tokenizer, exam_questions(seed, each))
    emit(as_json, found, _exam_table(found))


def _require(folder: Path | None) -> None:
    from instar.errors import UserError

    if folder is not None and not (folder / "config.json").exists():
        raise UserError(f"{folder} holds no model. Make one: instar pocket pretrain --out {folder}")
