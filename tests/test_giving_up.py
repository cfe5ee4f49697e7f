"""An open turn that began from what cannot be served any more, and what the next turn makes of it."""

import io
import json

import pytest
from rich.console import Console
from stores import generation
from test_registry import write

from finetune.registry import base_hash
from instar._giving_up import give_up
from instar._runs import unfinished
from instar.compose import Workspace
from instar.config import load_config
from instar.errors import WorkspaceError
from instar.evolve import evolve, evolve_until
from instar.foreseeing import foresee
from instar.once import once
from instar.progress import Progress
from instar.recorded import GIVEN_UP, READ, read
from instar.standing import standing

SMALL = [
    "model.name=rote_policy.Rote",
    "train.trainer=off",
    "practise.web_share=0",
    "practise.foreign_share=0",
    "practise.tasks=8",
    "gate.tasks=8",
    "moult.tasks=0",
    "report.tasks=4",
]


@pytest.fixture
async def opened(tmp_path, monkeypatch):
    """A workspace in the middle of a turn that began from an adapter."""
    import rote_policy

    base = tmp_path / "base"
    base.mkdir()
    (base / "model.safetensors").write_bytes(b"weights")
    monkeypatch.setattr(rote_policy.Rote, "folder", base)
    place = f"workspace={json.dumps(str(tmp_path / 'w'))}"
    async with Workspace.open(load_config(None, [*SMALL, place])) as workspace:
        store, folder = workspace.store, workspace.path / "adapters"
        made = workspace.registry.record(write(folder, b"w", base=base_hash(base)))
        model = workspace.config.model.name
        for id, parent, adapter in (("g0", None, None), ("g9", "g0", made.name)):
            one = generation(id, parent, "candidate")
            store.add_generation(one.model_copy(update={"adapter": adapter, "model": model}))
            store.activate(id)
        yield workspace


async def open_turn(workspace):
    await evolve_until(workspace, "reflect_1", Progress(quiet=True), practise=True)
    assert unfinished(workspace.store)


async def go_on(workspace):
    """Another call, and what it tells."""
    told = io.StringIO()
    console = Console(file=told, width=400, soft_wrap=True)
    await evolve(workspace, 1, Progress(quiet=True, console=console))
    return told.getvalue()


async def test_a_turn_that_began_from_a_damaged_adapter_is_given_up_once_another_serves(opened):
    await open_turn(opened)
    store, active = opened.store, opened.store.active()
    (opened.path / "adapters" / active.adapter / "adapter_config.json").write_text("[]")
    with pytest.raises(WorkspaceError, match="instar generations rollback"):
        await go_on(opened)
    assert unfinished(store), "while the damaged one serves there is nothing to go on from"
    store.activate("g0")
    told = await go_on(opened)
    assert "Turn 1 is given up: it began from g9, and adapter" in told
    assert store.stage("g2/start")["state"]["active"] == "g0" and not unfinished(store)
    read = len(store.trajectories(stage="g1/practise_1"))
    for stage in ("g1/practise_2", "g2/practise_1"):
        read += len(store.trajectories(stage=stage))
    assert store.stage("g2/reflect_1")["read"] == read > 0
    assert standing(opened.path)["turns"] == 1


async def test_giving_up_is_no_success_and_begins_no_turn_by_itself(opened):
    await open_turn(opened)
    (opened.path / "adapters" / opened.store.active().adapter / "adapter_config.json").write_text(
        "[]"
    )
    with pytest.raises(WorkspaceError, match="instar generations rollback"):
        foresee(opened, 1, practise=True, once=True)
    opened.store.activate("g0")
    give_up(opened, Progress(quiet=True))
    assert standing(opened.path)["last"] is None
    found = await once(opened, False, Progress(quiet=True))
    assert found["nothing"].startswith("Nothing new") and opened.store.stage("g2/start") is None
    assert standing(opened.path)["last"] is not None


async def test_a_clock_gives_up_what_cannot_go_on_and_has_then_nothing_to_do(opened):
    await open_turn(opened)
    (opened.models.folder / "model.safetensors").write_bytes(b"other weights")
    assert "nothing" in await once(opened, False, Progress(quiet=True))
    assert GIVEN_UP in opened.store.stage("g1/promote") and not unfinished(opened.store)


async def test_a_turn_is_given_up_where_the_weights_have_changed_since(opened):
    await open_turn(opened)
    (opened.models.folder / "model.safetensors").write_bytes(b"other weights")
    assert "the weights of rote_policy.Rote have changed since" in await go_on(opened)
    began = opened.store.generation(opened.store.stage("g2/start")["state"]["active"])
    assert began.adapter is None and began.parent == "g9"


async def test_what_a_turn_read_that_was_given_up_is_unread(opened):
    await open_turn(opened)
    store = opened.store
    facts = store.stage("g1/reflect_1")
    store.finish_stage("g1/reflect_1", facts | {READ: ["t1", "t2"]})
    assert read(store) == {"t1", "t2"}
    (opened.models.folder / "model.safetensors").write_bytes(b"other weights")
    assert give_up(opened, Progress(quiet=True)) == 1
    assert GIVEN_UP in store.stage("g1/promote") and read(store) == set()


async def test_a_turn_that_can_go_on_is_let_alone(opened):
    await open_turn(opened)
    opened.store.activate("g0")
    assert give_up(opened, Progress(quiet=True)) is None
    assert unfinished(opened.store)


async def test_a_kill_in_the_middle_of_giving_up_leaves_a_workspace_that_goes_on(
    opened, monkeypatch
):
    await open_turn(opened)
    (opened.models.folder / "model.safetensors").write_bytes(b"other weights")

    def killed(*given):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr("instar._giving_up.close", killed)
        give_up(opened, Progress(quiet=True))
    assert unfinished(opened.store)
    assert give_up(opened, Progress(quiet=True)) == 1 and not unfinished(opened.store)
    assert give_up(opened, Progress(quiet=True)) is None
