"""The contamination check finds planted leaks by lineage, and says when it could not look."""

import pytest
from episodes import task, trajectory

from benchmarks.leakage import check
from instar.types import MemoryItem, MemoryKind, Split

HELD = task("900")
GATE = task("800", Split.GATE)
HOME = task("100", Split.PRACTISE)
RUNS = {t.id: t for t in (trajectory(HOME), trajectory(GATE), trajectory(HELD))}


def item(*sources: str) -> MemoryItem:
    return MemoryItem(
        id=f"item-{sources[0]}",
        title="t",
        when="refund order $1",
        content="c",
        kind=MemoryKind.WORKFLOW,
        namespace="toy/0",
        sources=sources,
    )


def look(items=(), rows=None, proposed=(), known=None):
    def task_of(id):
        return RUNS[id].task if id in RUNS else None

    return check([GATE, HELD], list(items), rows or {}, list(proposed), task_of, known)


def test_a_clean_workspace_is_clean():
    child = task("101", Split.PRACTISE, origin="neighbours", parents=("100",))
    found = look([item("100-0")], {"adapter": ["100-0"]}, [child])
    assert found.clean
    assert (found.memories, found.rows, found.tasks, found.protected) == (1, 1, 1, 2)


@pytest.mark.parametrize("source", ["900-0", "800-0"])
def test_a_planted_memory_is_found(source):
    found = look([item("100-0"), item("100-0", source)])
    assert [(x.kind, x.via) for x in found.leaks] == [("memory", source)]
    assert not found.clean


def test_a_planted_training_row_is_found():
    found = look(rows={"adapter-1": ["100-0"], "adapter-2": ["100-0", "900-0"]})
    assert [(x.kind, x.name, x.task) for x in found.leaks] == [("row", "adapter-2", "900")]


def test_a_proposed_task_is_found_by_its_parents_over_several_steps():
    child = task("101", Split.PRACTISE, origin="neighbours", parents=("900",))
    grandchild = task("102", Split.PRACTISE, origin="neighbours", parents=("101",))
    found = look(proposed=[grandchild], known={"101": child})
    assert [(x.kind, x.name, x.task) for x in found.leaks] == [("task", "102", "900")]


def test_a_proposed_task_is_found_by_its_instruction():
    twin = task("555", Split.PRACTISE, origin="neighbours", instruction="Refund  order 900")
    (leak,) = look(proposed=[twin]).leaks
    assert leak.why == "the same instruction as a protected task"


def test_lineage_that_cannot_be_followed_is_not_called_clean():
    found = look([item("gone")])
    assert not found.leaks
    assert [x.via for x in found.gaps] == ["gone"]
    assert found.summary()["clean"] is False
