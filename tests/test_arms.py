"""Which generation is measured by default, and which arms it has what it takes for."""

import json
from types import SimpleNamespace

import pytest

from instar._arms import fullest, lacking
from instar.compose import Workspace
from instar.config import load_config
from instar.types import (
    Generation,
    GenerationStatus,
    MemoryItem,
    MemoryOp,
    MemoryStatus,
    OpKind,
)

CANDIDATE, REJECTED = GenerationStatus.CANDIDATE, GenerationStatus.REJECTED


def generation(id, seq, parent, status, adapter=None):
    made = {"id": id, "seq": seq, "parent": parent, "status": status, "adapter": adapter}
    return Generation(model="scripted", prompts="p", **made)


@pytest.fixture
async def workspace(tmp_path):
    where = f"workspace={json.dumps(str(tmp_path))}"
    async with Workspace.open(load_config(None, [where])) as opened:
        opened.registry = SimpleNamespace(
            why_not=lambda name: name.replace("a", "").replace("b", "")
        )
        yield opened


@pytest.mark.parametrize(
    ("others", "expected"),
    [
        ([], "g0"),
        ([generation("g1", 1, "g0", CANDIDATE, "a")], "g1"),
        ([generation("g1", 1, "g0", REJECTED, "a")], "g0"),
        ([generation("g1", 1, "g0", CANDIDATE)], "g0"),
        ([generation("g1", 1, "elsewhere", CANDIDATE, "a")], "g0"),
        (
            [generation("g1", 1, "g0", CANDIDATE, "a"), generation("g2", 2, "g0", CANDIDATE, "b")],
            "g2",
        ),
    ],
)
def test_an_undecided_adapter_on_top_of_the_active_generation_is_measured(
    workspace, others, expected
):
    active = generation("g0", 0, None, GenerationStatus.ACTIVE)
    for one in (active, generation("elsewhere", 0, None, GenerationStatus.RETIRED), *others):
        workspace.store.add_generation(one)
    assert fullest(workspace, active).id == expected


@pytest.mark.parametrize(
    ("sheds", "adapter", "status", "expected"),
    [
        (True, "a", CANDIDATE, "g1-moult"),
        (False, "a", CANDIDATE, "g1"),
        (True, "b", CANDIDATE, "g1"),
        (True, "a", REJECTED, "g1"),
    ],
)
def test_what_an_undecided_adapter_is_to_shed_is_measured_with_it(
    workspace, sheds, adapter, status, expected
):
    active = generation("g0", 0, None, GenerationStatus.ACTIVE)
    workspace.store.add_generation(active)
    item = MemoryItem(id="i", title="", when="w", content="c", kind="lesson", namespace="elsewhere")
    add = MemoryOp(kind=OpKind.ADD, item=item, reason="")
    workspace.bank.write([add], "g0")
    workspace.store.add_generation(generation("g1", 1, "g0", CANDIDATE, "a"))
    workspace.store.add_generation(generation("g1-moult", 1, "g1", status, adapter))
    if sheds:
        shed = item.model_copy(update={"status": MemoryStatus.INTERNALISED})
        edit = MemoryOp(kind=OpKind.EDIT, target="i", item=shed, reason="")
        workspace.bank.write([edit], "g1-moult")
    found = fullest(workspace, active)
    assert found.id == expected
    assert ("moulted" in lacking(workspace, found, ("moulted",))) is (expected == "g1")


def test_memory_that_is_not_measured_names_the_candidate_that_has_some(workspace):
    bare = generation("g0", 0, None, GenerationStatus.ACTIVE)
    tuned, taught = (generation(f"g1-{x}", 1, "g0", CANDIDATE, x) for x in "ab")
    for one in (bare, tuned, taught):
        workspace.store.add_generation(one)
        assert "candidate" not in lacking(workspace, bare, ("memory",))["memory"]
    space = workspace.home.namespace
    item = MemoryItem(id="i", title="", when="w", content="c", kind="lesson", namespace=space)
    workspace.bank.write([MemoryOp(kind=OpKind.ADD, item=item, reason="")], "g1-b")
    for one in (bare, tuned):
        why = lacking(workspace, one, ("memory",))["memory"]
        assert why.endswith(
            "does: instar bench run house_rules --arms base,memory --generation g1-b"
        )
    assert lacking(workspace, taught, ("memory",)) == {}


def test_arms_that_would_be_another_under_a_false_name_are_lacking(workspace):
    bare = generation("g0", 0, None, GenerationStatus.ACTIVE)
    workspace.store.add_generation(bare)
    found = lacking(workspace, bare, ("base", "memory", "both"))
    assert set(found) == {"memory", "both"}
    tuned = generation("g1", 1, "g0", CANDIDATE, "a")
    workspace.store.add_generation(tuned)
    assert set(lacking(workspace, tuned, ("adapter", "both"))) == {"both"}
