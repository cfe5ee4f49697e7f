"""An adapter on a server, and whether it answers there as it does here.

A server may read another folder, keep an older adapter under the name, take the name and serve the
base, or have another base. So the first turns of real episodes are asked of both sides, greedily:
served and local, adapter and base. What tells the adapter from the base are the prompts on which
the two differ here; without such a prompt nothing is shown. Rounding differs between machines, so
not every answer has to be the same.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from instar import render
from instar._lora_server import LoraServer
from instar._toolparse import parse_reply
from instar.compose import Workspace
from instar.errors import ModelFault, UserError
from instar.types import Adapter, Message, Record, Sampling, ToolSpec, Trajectory

if TYPE_CHECKING:
    from instar.llm_local import LocalEngine

__all__ = ["Pushed", "Wish", "push"]

_PURPOSES = ("gate", "practise", "live")
_AT_ONCE = 8

Answer = tuple[str, str]


class Wish(Record):
    """How an adapter is pushed.

    Attributes:
        there: The folder of adapters as the server sees it; None: as it is called here.
        prompts: How many are asked.
        tokens: Of each answer at most.
        share: Of the answers that have to be the same.
        keep: Leave it on the server although it was not shown to answer as it does here.
        replace: Take the other adapters of the workspace off the server once it does.
    """

    there: str | None = None
    prompts: int = 16
    tokens: int = 32
    share: float = 0.9
    keep: bool = False
    replace: bool = False


class Pushed(Record):
    """What a push came to; all counts are of prompts.

    Attributes:
        base: What the server calls its base.
        loaded: False where the server had an adapter of this name already.
        agreed: Same answer of the adapter there and here.
        apart: Here adapter and base answer otherwise.
        agreed_apart: Same answer of the adapter there and here, of these.
        base_agreed: Same answer of the base there and here.
        replaced: Adapters that were taken off the server.
    """

    adapter: str
    url: str
    base: str
    loaded: bool
    prompts: int
    agreed: int
    apart: int
    agreed_apart: int
    base_agreed: int
    replaced: tuple[str, ...] = ()

    def wrong(self, share: float) -> str:
        """Why it is not shown that the adapter answers there as here; empty where it is."""
        if not self.apart:
            return (
                f"the adapter answers all {self.prompts} prompts as the base does, which shows "
                "nothing: ask more with --prompts"
            )
        same = f"{self.agreed} of {self.prompts} answers are those of the adapter here"
        if self.agreed >= share * self.prompts and self.agreed_apart >= share * self.apart:
            return ""
        if self.base_agreed < share * self.prompts:
            base = f"{self.base_agreed} of the base's"
            return f"{same}, and {base}: the server may have another base or revision"
        return f"{same}, {self.agreed_apart} of {self.apart} where it differs from the base"


class _Prompt(NamedTuple):
    messages: list[Message]
    tools: tuple[ToolSpec, ...]


async def push(workspace: Workspace, name: str, server: LoraServer, url: str, wish: Wish) -> Pushed:
    """Load an adapter into a server, and see that it answers there as it does here.

    Args:
        workspace: Where it lies, with a local model as its base.
        name: The whole name of the adapter.
        server: Open.
        url: For the record.
        wish: How.

    Raises:
        UserError: There is no local base or nothing to ask, or the server cannot take it.
        ModelFault: The server failed, or does not answer as the adapter does here; what was loaded
            is taken off again.
    """
    adapter = _adapter(workspace, name)
    prompts = _prompts(workspace, wish.prompts)
    base, _ = await server.models()
    ids, here, bare = await _local(workspace, Path(adapter.path), prompts, wish.tokens)
    loaded = await server.load(name, _seen_there(adapter, wish), _rank(Path(adapter.path)))
    try:
        there = await _served(server, name, prompts, ids, wish.tokens)
        bare_there = await _served(server, base, prompts, ids, wish.tokens)
        apart = [i for i, answer in enumerate(here) if answer != bare[i]]
        found = Pushed(
            adapter=name,
            url=url,
            base=base,
            loaded=loaded,
            prompts=len(prompts),
            agreed=sum(a == b for a, b in zip(here, there, strict=True)),
            apart=len(apart),
            agreed_apart=sum(here[i] == there[i] for i in apart),
            base_agreed=sum(a == b for a, b in zip(bare, bare_there, strict=True)),
        )
        if (wrong := found.wrong(wish.share)) and not wish.keep:
            raise ModelFault(f"{server.place} is not shown to serve adapter {name}: {wrong}.")
    except BaseException:
        if loaded:
            await server.unload(name)
        raise
    return found.model_copy(update={"replaced": await _replace(workspace, server, name, wish)})


def _adapter(workspace: Workspace, name: str) -> Adapter:
    from finetune.registry import base_hash

    folder = workspace.models.folder
    if folder is None:
        raise UserError(
            f"Model {workspace.models.name} runs elsewhere, and the answers of an adapter are "
            "compared with those of its base here: name it with -o model.name=local/DIR"
        )
    return workspace.registry.get(name, base=base_hash(folder))


def _seen_there(adapter: Adapter, wish: Wish) -> str:
    if wish.there is None:
        return str(Path(adapter.path).resolve())
    return f"{wish.there.rstrip('/')}/{adapter.name}"


def _rank(folder: Path) -> int:
    settings = json.loads((folder / "adapter_config.json").read_text(encoding="utf-8"))
    return int(max([settings["r"], *(settings.get("rank_pattern") or {}).values()]))


def _prompts(workspace: Workspace, n: int) -> list[_Prompt]:
    """Turns of episodes of as many tasks as there are, without memories, each from another place."""
    found: dict[str, Trajectory] = {}
    for purpose in _PURPOSES:
        for one in workspace.store.trajectories(purpose=purpose):
            if one.steps:
                found.setdefault(one.task.id, one)
        if len(found) >= n:
            break
    if not found:
        raise UserError(
            "There is no episode yet whose prompts could be asked. Begin with: instar evolve"
        )
    chosen = list(found.values())[:n]
    return [_prompt(one, place % len(one.steps)) for place, one in enumerate(chosen)]


def _prompt(one: Trajectory, turn: int) -> _Prompt:
    seen = one.steps[turn].observation
    asked = render.messages(one.prompts, (), one.task, one.steps[:turn], seen, one.tools)
    return _Prompt(asked, one.tools)


async def _local(
    workspace: Workspace, adapter: Path, prompts: Sequence[_Prompt], tokens: int
) -> tuple[list[list[int]], list[Answer], list[Answer]]:
    """The prompts as tokens, and what adapter and base answer here."""
    from instar.llm_local import LocalEngine

    models = workspace.models
    assert models.folder is not None
    engine = LocalEngine(models.folder, models.device)
    try:
        here = await _asked(engine, adapter, prompts, tokens)
        bare = await _asked(engine, None, prompts, tokens)
        return [engine.encode(*prompt) for prompt in prompts], here, bare
    finally:
        await engine.close()


async def _asked(
    engine: LocalEngine, adapter: Path | None, prompts: Sequence[_Prompt], tokens: int
) -> list[Answer]:
    sampling = Sampling(temperature=0.0, max_tokens=tokens)
    client = engine.client(adapter)
    replies = await asyncio.gather(*(client.complete(*p, sampling) for p in prompts))
    return [_comparable(r.content, r.calls) for r in replies]


async def _served(
    server: LoraServer,
    model: str,
    prompts: Sequence[_Prompt],
    ids: Sequence[Sequence[int]],
    tokens: int,
) -> list[Answer]:
    few = asyncio.Semaphore(_AT_ONCE)

    async def ask(one: Sequence[int], tools: Sequence[ToolSpec]) -> Answer:
        async with few:
            text = await server.complete(model, one, tokens)
        return _comparable(*parse_reply(text, tools))

    pairs = zip(ids, prompts, strict=True)
    return await asyncio.gather(*(ask(one, prompt.tools) for one, prompt in pairs))


def _comparable(content: str, calls: Sequence[object]) -> Answer:
    return " ".join(content.split()), repr(tuple(calls))


async def _replace(
    workspace: Workspace, server: LoraServer, name: str, wish: Wish
) -> tuple[str, ...]:
    if not wish.replace:
        return ()
    ours = {a.name for a in workspace.store.adapters()} - {name}
    _, there = await server.models()
    return tuple([one for one in there if one in ours and await server.unload(one)])
