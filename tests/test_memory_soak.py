"""The bank under ``kill -9`` and under two processes at once: nothing that was reported as saved is lost.

The long versions are run by ``make soak``: a hundred kills while opening, writing and reindexing,
and a minute of two processes on one workspace.
"""

from __future__ import annotations

import random
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path
from typing import NamedTuple

import pytest
from chroma_process import ChromaProcess
from memory_checks import (
    PATIENCE,
    awaited,
    batches,
    begin,
    changed,
    check_indexes,
    check_kept,
    killed,
    make_store,
    texts,
    texts_of,
)
from memory_writer import GENERATION, add, opened, recalled, said, word

from instar.store import Store
from memory.bank import Bank
from memory.embed import HashEmbedder
from memory.index import VectorIndex

_MANY = 3000
_CASES = 10
"""Soak tests of ten kills each, so that a soak that was stopped goes on near where it was."""


# Killed


@pytest.mark.parametrize("failpoint", ["store.apply:3", "memory.index:3", "memory.words:3"])
async def test_a_kill_in_the_middle_of_a_write(tmp_path: Path, failpoint: str) -> None:
    before = make_store(tmp_path)
    writer = begin("write", tmp_path, "one", failpoint=failpoint)
    told, complaints = writer.communicate(timeout=PATIENCE)
    assert writer.returncode == -signal.SIGKILL and not complaints
    assert len(batches(told, "saved")) == 2
    kept = check_kept(tmp_path, before, told)
    # What comes after the store is made up for on opening.
    assert (kept == changed(before, batches(told, "begin"))) is (failpoint != "store.apply:3")
    await check_indexes(tmp_path)


def test_a_graph_whose_writing_was_cut_short_is_not_read(tmp_path: Path) -> None:
    vectors = {f"i{n}": HashEmbedder(64).embed([word(f"i{n}")])[0] for n in range(2200)}
    index = VectorIndex.open(tmp_path)
    assert index is not None
    index.sync(dict(islice(vectors.items(), 1100)))
    (graph,) = tmp_path.glob("chroma-*/*/data_level0.bin")
    before = graph.read_bytes()
    index.sync(vectors)
    index.close()
    assert graph.stat().st_size > len(before)
    graph.write_bytes(before)  # as if killed after the file before it
    index = VectorIndex.open(tmp_path)
    assert index is not None
    index.sync(vectors)
    for name in sorted(vectors)[::20]:
        assert index.query(vectors[name], 1)[0][0] == name
    index.close()


class Times(NamedTuple):
    """Seconds that starting takes, and that making both indexes of many takes."""

    start: float
    reindex: float


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("many")
    make_store(folder, _MANY)
    return folder


@pytest.fixture(scope="module")
def times(many: Path, tmp_path_factory: pytest.TempPathFactory) -> Times:
    folder = tmp_path_factory.mktemp("timed")
    shutil.copytree(many, folder, dirs_exist_ok=True)
    began = time.monotonic()
    process = begin("open", folder)
    awaited(process, "opening")
    opening = time.monotonic()
    awaited(process, "open\n")
    over = time.monotonic()
    killed(process)
    return Times(opening - began, over - opening)


def kill_starting(folder: Path, seed: str, draw: random.Random, times: Times) -> str:
    process = begin("write", folder, seed)
    time.sleep(draw.uniform(0, 2 * times.start))
    return killed(process)


def kill_writing(folder: Path, seed: str, draw: random.Random, times: Times) -> str:
    process = begin("write", folder, seed)
    told = "".join(awaited(process, "saved") for _ in range(draw.randint(1, 40)))
    time.sleep(draw.uniform(0, 0.1))
    return told + killed(process)


def kill_reindexing(folder: Path, seed: str, draw: random.Random, times: Times) -> str:
    spoil(folder / "index", draw)
    process = begin("open", folder)
    awaited(process, "opening")
    time.sleep(draw.uniform(0, 1.1 * times.reindex))
    killed(process)
    return ""


def spoil(index: Path, draw: random.Random) -> None:
    """Delete the indexes, or damage a file of them, or leave them as the last kill left them."""
    files = sorted(p for p in index.rglob("*") if p.is_file() and p.name != "owner.lock")
    how = draw.choice(["deleted", "deleted", "garbage", "cut", "left"])
    if how == "deleted" or not files:
        shutil.rmtree(index, ignore_errors=True)
        return
    path = draw.choice(files)
    data = path.read_bytes()
    if how == "cut":
        path.write_bytes(data[: draw.randint(0, len(data))])
    elif how == "garbage":
        path.write_bytes(draw.randbytes(len(data)))


Kill = Callable[[Path, str, random.Random, Times], str]
_KILLS: list[Kill] = [kill_starting] * 2 + [kill_writing] * 4 + [kill_reindexing] * 4


@pytest.mark.soak
@pytest.mark.timeout(0)
@pytest.mark.parametrize("case", range(_CASES))
async def test_kills_at_any_moment(tmp_path: Path, many: Path, times: Times, case: int) -> None:
    draw = random.Random(case)
    small, large = tmp_path / "small", tmp_path / "large"
    held = {small: make_store(small), large: texts_of(many)}
    shutil.copytree(many, large)
    for number, kill in enumerate(draw.sample(_KILLS, len(_KILLS))):
        folder = large if kill is kill_reindexing else small
        told = kill(folder, f"k{case}-{number}", draw, times)
        held[folder] = check_kept(folder, held[folder], told)
        await check_indexes(folder)


# Two at once


async def run_two(folder: Path, seconds: float, url: str = "") -> list[int]:
    """Two processes write and recall; how many of the other's items each found meanwhile."""
    before = make_store(folder)
    pair = []
    for who in "ab":
        process = begin("share", folder, who, seconds, url)
        pair.append((process, awaited(process, "open").split()[-1]))
    # A folder is owned by the first; a server is asked by both.
    assert [index for _, index in pair] == ["True", str(bool(url))]
    for process, _ in pair:
        say(process, "go")
    told = [awaited(process, "meanwhile") for process, _ in pair]
    saved = [batches(t, "saved") for t in told]
    for (process, _), other in zip(pair, reversed(saved), strict=True):
        say(process, str(len(other)))
    for process, _ in pair:
        rest, complaints = process.communicate(timeout=PATIENCE)
        assert (process.returncode, complaints, rest) == (0, "", "missing []\n")
    with Store.open(folder, create=False) as store:
        assert store.check() is None
        # Each wrote items of its own, so that their order does not matter.
        assert texts(store) == changed(before, saved[0] + saved[1])
    await check_indexes(folder)
    return [int(t.split()[-1]) for t in told]


def say(process: subprocess.Popen[str], line: str) -> None:
    assert process.stdin is not None
    process.stdin.write(f"{line}\n")
    process.stdin.flush()


async def test_two_processes_on_one_workspace(tmp_path: Path) -> None:
    assert min(await run_two(tmp_path, 3)) > 0


@pytest.mark.soak
@pytest.mark.timeout(0)
async def test_two_processes_on_one_workspace_for_a_minute(tmp_path: Path) -> None:
    assert min(await run_two(tmp_path, 60)) > 0


async def test_words_of_another_process_are_found_though_it_never_looked_for_any(
    tmp_path: Path,
) -> None:
    make_store(tmp_path)
    with Store.open(tmp_path) as one, Store.open(tmp_path) as other:
        reader = opened(one, tmp_path)
        reader.write([add("first")], GENERATION)
        assert await recalled(reader, said("first"), stuck=True) == ["first"]
        writer = Bank(other, HashEmbedder(), tmp_path / "index")
        writer.write([add("second")], GENERATION)
        assert await recalled(reader, said("second"), stuck=True) == ["second"]
        reader.close()
        writer.close()


@pytest.fixture
def chroma(tmp_path: Path) -> Iterator[ChromaProcess]:
    server = ChromaProcess(tmp_path / "chroma")
    server.start()
    yield server
    server.kill()


@pytest.mark.soak
@pytest.mark.timeout(0)
async def test_two_processes_on_one_server(tmp_path: Path, chroma: ChromaProcess) -> None:
    assert min(await run_two(tmp_path / "workspace", 20, chroma.url)) > 0
