"""``instar adapters push`` and ``compose``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated

import typer

from instar._cli_common import (
    AsJson,
    Folder,
    Options,
    Seed,
    by_prefix,
    emit,
    load,
    open_store,
    wait_for,
)

if TYPE_CHECKING:
    from instar._pushing import Pushed, Wish
    from instar.config import Config
    from instar.store import Store

__all__ = ["register"]


def register(adapters: typer.Typer) -> None:
    """Add the commands to ``instar adapters``."""
    adapters.command("push")(push)
    adapters.command("compose")(compose)


def push(
    url: Annotated[str, typer.Argument(help="Of a vLLM server, such as http://127.0.0.1:8000")],
    adapter: Annotated[
        str | None, typer.Option("--adapter", help="Which one; default: the one that serves.")
    ] = None,
    there: Annotated[
        str | None,
        typer.Option(
            "--there", metavar="DIR", help="The folder of adapters as the server sees it."
        ),
    ] = None,
    prompts: Annotated[int, typer.Option("--prompts", min=1, help="How many are asked.")] = 16,
    share: Annotated[
        float, typer.Option("--share", min=0, max=1, help="Of answers that must be the same.")
    ] = 0.9,
    keep: Annotated[
        bool, typer.Option("--keep", help="Leave it there although it answers otherwise.")
    ] = False,
    replace: Annotated[
        bool, typer.Option("--replace", help="Then take the others of this workspace off.")
    ] = False,
    as_json: AsJson = False,
    workspace: Folder = None,
    seed: Seed = None,
    option: Options = None,
) -> None:
    """Load an adapter into a running vLLM server, and see that it answers there as it does here."""
    from instar._pushing import Wish

    config = load(workspace, seed, option)
    wish = Wish(there=there, prompts=prompts, share=share, keep=keep, replace=replace)
    found = wait_for(_push(config, adapter, url, wish))
    wrong = found.wrong(share)
    if wrong:
        typer.echo(f"It stays there because you say so: {wrong}.", err=True)
    emit(as_json, {**found.model_dump(mode="json"), "verified": not wrong}, _told(found))


async def _push(config: Config, adapter: str | None, url: str, wish: Wish) -> Pushed:
    from instar._lora_server import LoraServer
    from instar._pushing import push as work
    from instar.compose import Workspace

    async with (
        Workspace.open(config, create=False) as workspace,
        LoraServer(url, config.model.timeout) as server,
    ):
        return await work(workspace, _chosen(workspace.store, adapter), server, url, wish)


def _chosen(store: Store, text: str | None) -> str:
    from instar.errors import UserError

    if text is not None:
        return by_prefix(text, [a.name for a in store.adapters()])
    active = store.active()
    if active is None or active.adapter is None:
        raise UserError("No adapter serves; name one with --adapter. See: instar adapters list")
    return active.adapter


def _told(found: Pushed) -> str:
    lines = [
        f"{found.url} serves adapter {found.adapter}"
        + ("." if found.loaded else ", which it had already."),
        f"Of {found.prompts} prompts it answers {found.agreed} as the adapter does here; of the "
        f"{found.apart} on which the adapter differs from the base, {found.agreed_apart}. "
        f"The base answers {found.base_agreed} as it does here.",
    ]
    if found.replaced:
        lines.append(f"Taken off: {', '.join(found.replaced)}.")
    base = found.url.rstrip("/").removesuffix("/v1")
    lines.append(f"To use it: --model openai/{found.adapter} -o model.base_url={base}/v1")
    return "\n".join(lines)


def compose(
    names: Annotated[list[str], typer.Argument(metavar="ADAPTER ADAPTER", help="Two or more.")],
    weights: Annotated[
        str | None, typer.Option("--weights", help="One each, as in 0.7,0.3; default: 1 each.")
    ] = None,
    as_json: AsJson = False,
    workspace: Folder = None,
    seed: Seed = None,
) -> None:
    """Make one adapter whose effect is the weighted sum of the effects of others, exactly."""
    from finetune.compose import compose as combined
    from finetune.registry import Registry
    from instar._lock import exclusive

    config = load(workspace, seed, None)
    with (
        open_store(config) as store,
        exclusive(config.workspace),
    ):
        registry = Registry(config.workspace / "adapters", store)
        known = [a.name for a in store.adapters()]
        parts = [registry.get(by_prefix(name, known)) for name in names]
        made = registry.record(combined(parts, _weights(weights, len(parts)), registry.root))
    mixed = " + ".join(f"{w:g} x {name}" for name, w in _parts(made.recipe))
    told = f"Adapter {made.name}, rank {made.recipe['rank']}: {mixed}"
    emit(as_json, made.model_dump(mode="json"), told)


def _weights(text: str | None, n: int) -> list[float]:
    from instar.errors import UserError

    if text is None:
        return [1.0] * n
    try:
        return [float(part) for part in text.split(",")]
    except ValueError as error:
        raise UserError("Weights are numbers, as in --weights 0.7,0.3") from error


def _parts(recipe: Mapping[str, object]) -> list[tuple[str, float]]:
    parts = recipe["parts"]
    assert isinstance(parts, dict)
    return list(parts.items())
