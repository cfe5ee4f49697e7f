"""A process that works on a bank and says what it was told is saved, until it is killed.

Run as ``python memory_writer.py write FOLDER SEED``, ``open FOLDER`` or ``share FOLDER WHO SECONDS
[URL]``. What it is about to write is said before (``begin``) and after it (``saved``), as texts by id,
None for what ends, so that half a batch would show.
"""

from __future__ import annotations

import asyncio
import json
import random
import string
import sys
import time
from hashlib import sha256
from pathlib import Path

from instar.store import Store
from instar.types import MemoryItem, MemoryKind, MemoryOp, OpKind, Task
from memory import _chroma_server
from memory.bank import Bank
from memory.embed import HashEmbedder

NAMESPACE = "shed/1"
GENERATION = "g1"


def word(name: str) -> str:
    """A word that no other name has, and that shares no piece with another to speak of."""
    letters = string.ascii_lowercase
    return "".join(letters[b % 26] for b in sha256(name.encode()).digest()[:12])


def item(id: str, edit: int = 0) -> MemoryItem:
    """Found by likeness through one word, by the words of its content through another."""
    return MemoryItem(
        id=id,
        title="",
        when=f"{word(f'{id} when {edit}')} lamp",
        content=f"{word(f'{id} said {edit}')} gently, edit {edit}",
        kind=MemoryKind.FACT,
        namespace=NAMESPACE,
    )


def said(id: str) -> str:
    """The word of its content."""
    return item(id).content.split()[0]


def edits(content: str) -> int:
    """How often an item of this content was edited."""
    return int(content.rpartition(" ")[2])


def opened(store: Store, folder: Path, url: str | None = None) -> Bank:
    """A bank that asks both its indexes however little it holds."""
    place = folder / "index"
    return Bank(store, HashEmbedder(), place, exact_below=0, lexical=True, index_url=url)


async def recalled(bank: Bank, text: str, stuck: bool = False) -> list[str]:
    """Ids of what is recalled for a text; of what holds its words if the episode is stuck."""
    instruction = "sweep the yard" if stuck else text
    task = Task(
        id="t", instruction=instruction, world="shed", namespace=NAMESPACE, group="g", family="f"
    )
    about = text if stuck else ""
    found = await bank.recall(task, [], as_of=GENERATION, seed=0, about=about)
    return [m.item for m in found.memories]


def written(bank: Bank, ops: list[MemoryOp]) -> None:
    """Write a batch, and say so before and after."""
    batch = json.dumps({op.target or op.item.id: op.item and op.item.content for op in ops})
    print("begin", batch, flush=True)
    bank.write(ops, GENERATION)
    print("saved", batch, flush=True)


def add(id: str) -> MemoryOp:
    return MemoryOp(kind=OpKind.ADD, item=item(id))


def edit(id: str, number: int) -> MemoryOp:
    return MemoryOp(kind=OpKind.EDIT, target=id, item=item(id, number))


def retire(id: str) -> MemoryOp:
    return MemoryOp(kind=OpKind.RETIRE, target=id)


async def write(store: Store, folder: Path, seed: str) -> None:
    """Add, edit and retire in small batches for ever."""
    draw = random.Random(seed)
    bank = opened(store, folder)
    print("open", flush=True)
    held = {i.id: edits(i.content) for i in store.items(GENERATION)}
    for number in range(1_000_000):
        new = [f"{seed}-{number}-{n}" for n in range(draw.randint(1, 3))]
        old = draw.sample(sorted(held), min(len(held), draw.randint(0, 3)))
        gone = [id for id in old if draw.random() < 0.3]
        held |= dict.fromkeys(new, 0) | {id: held[id] + 1 for id in old}
        changed = [retire(id) if id in gone else edit(id, held[id]) for id in old]
        for id in gone:
            del held[id]
        written(bank, [*map(add, new), *changed])
        await recalled(bank, item(new[0]).when)


async def open_(store: Store, folder: Path) -> None:
    """Bring both indexes up to date."""
    print("opening", flush=True)
    bank = opened(store, folder)
    await recalled(bank, "sweep the yard")
    print("open", flush=True)
    sys.stdin.readline()


async def share(store: Store, folder: Path, who: str, seconds: str, url: str = "") -> None:
    """Write and recall beside another process, which must be told of by its name: a or b.

    Each of its items must be found by likeness and by its words, in the order of their writing.
    """
    # The machine may be busy.
    _chroma_server._ANSWER_SECONDS = 30.0
    bank = opened(store, folder, url or None)
    print("open", bank.index is not None, flush=True)
    sys.stdin.readline()
    other, seen, number = {"a": "b", "b": "a"}[who], 0, 0
    until = time.monotonic() + float(seconds)
    while time.monotonic() < until:
        # The second of each batch is edited in the next and ends in the one after.
        ops = [add(f"{who}{number}"), add(f"{who}{number}x")]
        ops += [edit(f"{who}{number - 1}x", 1)] if number > 0 else []
        ops += [retire(f"{who}{number - 2}x")] if number > 1 else []
        written(bank, ops)
        number += 1
        assert await found(bank, f"{who}{number - 1}"), f"its own {number - 1}"
        seen += await found(bank, f"{other}{seen}")
    print("meanwhile", seen, flush=True)
    theirs = int(sys.stdin.readline())
    missing = [n for n in range(seen, theirs) if not await found(bank, f"{other}{n}")]
    print("missing", json.dumps(missing), flush=True)
    bank.close()


async def found(bank: Bank, id: str) -> bool:
    """Whether likeness finds an item first, and its words find it."""
    near = await recalled(bank, item(id).when)
    by_words = await recalled(bank, said(id), stuck=True)
    return near[:1] == [id] and by_words[:1] == [id]


def main(mode: str, folder: str, *rest: str) -> None:
    modes = {"write": write, "open": open_, "share": share}
    with Store.open(Path(folder)) as store:
        asyncio.run(modes[mode](store, Path(folder), *rest))


if __name__ == "__main__":
    main(*sys.argv[1:])
