"""A workspace in which one task, and a text, are everywhere that they can be; for tests of purges."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from episodes import task, trajectory
from stores import generation

from benchmarks import report, run_page, runner, transcripts
from benchmarks.leakage import Leakage
from benchmarks.runner import Line, Settings
from benchmarks.summary import summarise
from finetune.curate.base import RowSet
from instar.store import Store
from instar.types import (
    Adapter,
    GenerationStatus,
    MemoryItem,
    MemoryKind,
    MemoryOp,
    OpKind,
    Recalled,
    Result,
    Split,
    Step,
    Task,
    ToolCall,
    Trajectory,
)
from memory.bank import Bank
from memory.embed import HashEmbedder
from memory.lexical import LexicalIndex

SECRET = 'Zara "Zed" Öberg'
TWISTED = SECRET.swapcase()


def secret(of: Task, **changes: Any) -> Trajectory:
    call = ToolCall(id="c1", name="refund", arguments={"who": SECRET, TWISTED: 1})
    step = Step(observation=f"a page of {TWISTED}", calls=(call,), results=(Result(text="ok"),))
    return trajectory(of, steps=(step,), **changes)


def recalled(item: MemoryItem) -> Recalled:
    fields = {"title": item.title, "when": item.when, "content": item.content, "kind": item.kind}
    return Recalled(label="m1", item=item.id, version=1, **fields)


def item(id: str, content: str, *sources: str) -> MemoryItem:
    named = {"title": id, "when": f"refund order {id}", "kind": MemoryKind.LESSON, "namespace": "n"}
    return MemoryItem(id=id, content=content, sources=sources, support=len(sources), **named)


HELD = task("t1", Split.PRACTISE, instruction=f"refund order t1 of {SECRET}")
PLAIN = task("t2", Split.PRACTISE)
CHILD = task("t3", Split.PRACTISE, parents=("t1", "t2"))
ONLY, BOTH, OTHER = (
    item("only", "Ask the owner of parcel 77 first.", "t1-0"),
    item("both", "Look twice.", "t1-0", "t2-0"),
    item("other", "Never mind.", "t2-0"),
)
SHOWN = trajectory(CHILD, memories=(recalled(ONLY), recalled(OTHER)))
PRACTISED = (secret(HELD), secret(HELD, seed=1), trajectory(PLAIN), SHOWN)


def build(folder: Path) -> None:
    """Fill a folder."""
    with Store.open(folder) as store:
        store.add_generation(generation("g0", status="active"))
        store.add_generation(generation("g1", "g0").model_copy(update={"adapter": "ad1"}))
        for one in PRACTISED:
            store.save_trajectory(one, stage="g1/practise_1")
        remember(store, folder)
        stages(store, teach(store, folder))
        verdict = {"decision": "undecided", "reasons": [f"slower for {SECRET}"]}
        store.set_status("g1", GenerationStatus.CANDIDATE, verdict)
    bench(folder)
    evolved(folder)


def remember(store: Store, folder: Path) -> None:
    bank = Bank(store, HashEmbedder(), folder / "index", near=None)
    add = [MemoryOp(kind=OpKind.ADD, item=i, reason="seen") for i in (ONLY, BOTH, OTHER)]
    bank.write(add, "g0", "bench1/memory/t1/0/rules")
    again = BOTH.model_copy(update={"content": "Look three times."})
    edit = MemoryOp(kind=OpKind.EDIT, target="both", item=again, reason=f"as {SECRET} says")
    bank.write([edit], "g1", SECRET)
    bank.close()
    words = LexicalIndex.open(folder / "index")
    assert words is not None
    words.sync(lambda: store.items(None))
    words.close()


def teach(store: Store, folder: Path) -> tuple[RowSet, RowSet]:
    """Two datasets, the second without t1, and an adapter of each; a third went on from the first."""
    rows = [
        {"prompt": [{"role": "user", "content": t.steps[0].observation}], "completion": []}
        | {"tools": [], "trajectory": t.id, "step": 0, "task": t.task.id, "memories": False}
        for t in (PRACTISED[0], PRACTISED[2])
    ]
    sets = RowSet.of(rows, {}), RowSet.of(rows[1:], {"t1-1": "score fail"})
    for one in sets:
        one.save(folder / "datasets" / one.hash)
    lines = (("ad1", None, sets[0]), ("ad2", "ad1", sets[1]), ("ad3", None, sets[1]))
    for name, parent, found in lines:
        (folder / "adapters" / name).mkdir(parents=True)
        store.add_adapter(Adapter(name=name, path="", base="b", parent=parent, dataset=found.hash))
    return sets


def stages(store: Store, sets: tuple[RowSet, RowSet]) -> None:
    add = MemoryOp(kind=OpKind.ADD, item=ONLY).model_dump(mode="json")
    keep = MemoryOp(kind=OpKind.ADD, item=BOTH).model_dump(mode="json")
    seen = {"toy/refund": [HELD.instruction, PLAIN.instruction]}
    example = {"id": "t1-0", "task": HELD.instruction, "way": "went to parcel 77"}
    state = {"lexicon": seen, "examples": {"toy/0": [example]}, "votes": {"only": 2, "both": 1}}
    store.finish_stage("g1/practise_1/plan", {"home": ["t1", "t2"], "foreign": [], "refused": 0})
    store.finish_stage("g1/reflect_1/rules", {"ops": [add, keep], "state": state})
    store.finish_stage("g1/reflect_1", {"answers": {"rules": {"refused": {f"no {SECRET}": 1}}}})
    store.finish_stage("bench1/memory/t1/0/rules", {"ops": [add], "state": {}})
    of_first = {"dataset": sets[0].hash, "rows": 2, "trajectories": ["t1-0", "t2-0"]}
    store.finish_stage("g1/curate", of_first)
    store.finish_stage("placebo/g1/1", {"dataset": sets[1].hash, "trajectories": ["t2-0"]})


def bench(folder: Path) -> None:
    """A finished run with two arms, with pictures."""
    run = folder / "runs" / "bench1"
    about = {"run": "bench1", "benchmark": "toy", "namespace": "toy/0", "generation": "g0"}
    settings = Settings(**about, model="toy", n=2, seed=0, arms=("base", "memory"))
    runner.begin(run, settings, {"config": {"note": SECRET}})
    lines = [
        Line(arm=arm, trajectory=t.model_copy(update={"id": f"{arm}-{t.id}", "arm": arm}))
        for arm in settings.arms
        for t in (PRACTISED[0], SHOWN)
    ]
    written = [line.model_dump_json() for line in lines]
    (run / "episodes.jsonl").write_text("\n".join([*written, f'{{"cut off by {SECRET}']))
    summary = summarise(settings, lines, Leakage().summary())
    runner.write_json(run / "summary.json", summary)
    for one in ("t1-0", "t3-0"):
        (run / "screens" / "base" / one).mkdir(parents=True)
        (run / "screens" / "base" / one / "000.png").write_bytes(b"png")
    run_page.write(run, settings, summary, lines)
    transcripts.write(run / "trajectories.jsonl", lines)


def evolved(folder: Path) -> None:
    """The report of an evolution, which lists the memories."""
    memories = [i.model_dump(mode="json") for i in (ONLY, BOTH)]
    data = report.ReportData(
        title="Instar", facts={"written": SECRET}, memories=memories, leakage=Leakage().summary()
    )
    report.write(folder / "runs" / "run1-report", data)
    runner.write_json(folder / "runs" / "run1-report" / "summary.json", {"n": 2})
