"""A bank that another process works on: begun, killed, and looked at afterwards."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
from memory_writer import GENERATION, edits, item, opened, recalled
from stores import generation

from instar.store import Store
from instar.types import MemoryOp, OpKind
from memory.bank import Bank
from memory.embed import HashEmbedder, occasion
from memory.index import entry_name
from memory.lexical import LexicalIndex

WRITER = Path(__file__).with_name("memory_writer.py")
PATIENCE = 300

Texts = dict[str, str | None]
"""By id; None for what has ended."""


def begin(*arguments: str | Path | float, failpoint: str = "") -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, str(WRITER), *map(str, arguments)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "INSTAR_FAILPOINT": failpoint},
    )


def killed(process: subprocess.Popen[str]) -> str:
    """What a process said before it was killed, which must have been all that ended it."""
    process.kill()
    # Not `communicate`, which leaves out what was read ahead of the last line that was awaited.
    assert process.stdout is not None and process.stderr is not None
    told, complaints = process.stdout.read(), process.stderr.read()
    assert process.wait(PATIENCE) == -signal.SIGKILL, complaints
    return told


def awaited(process: subprocess.Popen[str], begins: str) -> str:
    """What a process says until a line begins like this."""
    assert process.stdout is not None
    told = ""
    for line in process.stdout:
        told += line
        if line.startswith(begins):
            return told
    raise AssertionError(f"no {begins!r} but {told} {process.communicate(timeout=PATIENCE)[1]}")


def batches(told: str, said: str) -> list[Texts]:
    lines = [line for line in told.splitlines() if line.startswith(f"{said} ")]
    return [json.loads(line.partition(" ")[2]) for line in lines]


def texts(store: Store) -> Texts:
    return {i.id: i.content for i in store.items(GENERATION)}


def changed(held: Texts, told: list[Texts]) -> Texts:
    for batch in told:
        held = {id: text for id, text in (held | batch).items() if text is not None}
    return held


def check_kept(folder: Path, before: Texts, told: str) -> Texts:
    """All that was saved is there, and of what was begun all or nothing; what is there now."""
    saved, begun = batches(told, "saved"), batches(told, "begin")
    assert len(begun) - len(saved) in (0, 1)
    with Store.open(folder, create=False) as store:
        assert store.check() is None
        kept = texts(store)
    assert kept in (changed(before, saved), changed(before, begun))
    return kept


async def check_indexes(folder: Path) -> None:
    """Opened again, both indexes hold what the store has, and find it."""
    with Store.open(folder, create=False) as store:
        bank = opened(store, folder)
        try:
            check_vectors(store, bank)
            await recalled(bank, "sweep the yard")  # opens the lexical index
            check_words(store, folder)
        finally:
            bank.close()


def check_vectors(store: Store, bank: Bank) -> None:
    assert bank.index is not None
    heads = (None, *(g.id for g in store.generations()))
    wanted = {
        entry_name(id, vector): vector
        for head in heads
        for (id, _), vector in store.vectors(head).items()
    }
    assert bank.index.entries == wanted.keys()
    names = random.Random(0).sample(sorted(wanted), min(500, len(wanted)))
    if not names:
        return
    # The graph gives each entry its vector; that a question finds it is only likely with HNSW.
    held = bank.index._collection.get(ids=names, include=["embeddings"])
    for name, vector in zip(held["ids"], held["embeddings"], strict=True):
        assert np.abs(vector - np.asarray(wanted[name])).max() < 1e-5, name
    found = [name == bank.index.query(wanted[name], 10)[0][0] for name in names]
    assert sum(found) >= 0.95 * len(names)


def check_words(store: Store, folder: Path) -> None:
    index = LexicalIndex.open(folder / "index")
    assert index is not None
    items = store.items(GENERATION)
    assert index._postings.checksums().keys() == {(i.id, i.version) for i in items}
    for one in random.Random(0).sample(items, min(300, len(items))):
        found = index.query(one.content.split()[0], 5)
        assert [(id, version) for id, version, _ in found] == [(one.id, one.version)]
        assert edits(one.content) == 0 or not index.query(item(one.id).content.split()[0], 5)
    index.close()


def make_store(folder: Path, count: int = 0) -> Texts:
    embedder = HashEmbedder()
    with Store.open(folder) as store:
        store.add_generation(generation("g0", status="active"))
        store.add_generation(generation(GENERATION, "g0"))
        Bank(store, embedder, None)
        items = [item(f"old-{n}") for n in range(count)]
        embedded = embedder.embed([occasion(i) for i in items])
        vectors = {i.id: v for i, v in zip(items, embedded, strict=True)}
        store.apply([MemoryOp(kind=OpKind.ADD, item=i) for i in items], GENERATION, vectors)
        return texts(store)


def texts_of(folder: Path) -> Texts:
    with Store.open(folder, create=False) as store:
        return texts(store)
