"""A training that was killed or asked to leave goes on, and comes to the same adapter."""

import io
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from contract_base import make_base
from contract_cases import TOOLS
from rich.console import Console

from finetune.curate.base import RowSet
from finetune.train._resume import Checkpoints
from finetune.train.sft import SupervisedFineTuning
from instar._loop import Loop
from instar._stages import start
from instar._training import train
from instar.compose import Workspace
from instar.config import load_config
from instar.errors import InstarError, MissingExtra, UserError
from instar.progress import Progress

ROOT = Path(__file__).resolve().parent.parent
QUICK = {"precision": "fp32", "max_steps": 5, "batch": 2, "device": "cpu", "seconds": 600.0}


def row(number):
    """A turn of the contract suite's kind, with a record of its own."""
    function = {"name": "tag", "arguments": {"record": str(number), "text": "red"}}
    call = {"id": "call00000", "type": "function", "function": function}
    return {
        "prompt": [
            {"role": "system", "content": "work"},
            {"role": "user", "content": f"back office\ntask: refund order {number}"},
        ],
        "completion": [{"role": "assistant", "content": "", "tool_calls": [call]}],
        "tools": [t.schema_openai() for t in TOOLS],
    }


ROWS = RowSet.of([row(n) for n in range(410, 420)], {})


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    return make_base(tmp_path_factory.mktemp("resume") / "base")


@pytest.fixture(scope="module")
def whole(base, tmp_path_factory):
    """The adapter of a training that nothing disturbed."""
    out = tmp_path_factory.mktemp("whole") / "adapters"
    return SupervisedFineTuning(SupervisedFineTuning.Config(**QUICK)).train(
        ROWS, base, None, out, 3
    )


def trainer(progress=None, **changes):
    return SupervisedFineTuning(SupervisedFineTuning.Config(**{**QUICK, **changes}), progress)


class Enough(InstarError):
    """Whoever watches has asked to leave."""


def leave_at(step):
    def watch(progress):
        if progress.step == step:
            raise Enough("that will do")

    return watch


def test_who_asks_to_leave_loses_nothing_and_gets_the_same_adapter(base, whole, tmp_path):
    out = tmp_path / "adapters"
    with pytest.raises(Enough):
        trainer(leave_at(2)).train(ROWS, base, None, out, 3)
    assert not list(out.iterdir()) and len(list((tmp_path / "training").iterdir())) == 1
    steps = []
    adapter = trainer(lambda p: steps.append(p.step)).train(ROWS, base, None, out, 3)
    assert steps == [3, 4, 5] and adapter.metrics["steps_before"] == 2
    assert adapter.name == whole.name and whole.metrics["steps_before"] == 0
    assert adapter.metrics["losses"] == whole.metrics["losses"]
    assert not (tmp_path / "training").exists()


@pytest.mark.parametrize("name", ["adapter_model.safetensors", "optimizer.pt", "whole.json"])
def test_a_training_whose_checkpoint_is_damaged_begins_anew(base, whole, tmp_path, name):
    out = tmp_path / "adapters"
    with pytest.raises(Enough):
        trainer(leave_at(2)).train(ROWS, base, None, out, 3)
    (file,) = (tmp_path / "training").glob(f"*/checkpoint-2/{name}")
    file.write_bytes(file.read_bytes()[:-100] if name != "whole.json" else b"{")
    made = trainer().train(ROWS, base, None, out, 3)
    assert made.name == whole.name and made.metrics["steps_before"] == 0
    assert made.metrics["begun_anew"] == "checkpoint-2 was damaged"
    assert not (tmp_path / "training").exists() and "begun_anew" not in whole.metrics


def test_another_seed_or_recipe_begins_anew(base, tmp_path):
    with pytest.raises(Enough):
        trainer(leave_at(2)).train(ROWS, base, None, tmp_path / "adapters", 3)
    for seed, changes in ((4, {}), (3, {"rank": 4})):
        made = trainer(**changes).train(ROWS, base, None, tmp_path / "adapters", seed)
        assert made.metrics["steps_before"] == 0 and made.metrics["steps"] == 5
    assert len(list((tmp_path / "training").iterdir())) == 1


def test_without_checkpoints_nothing_is_left(base, tmp_path):
    with pytest.raises(Enough):
        trainer(leave_at(2), save_seconds=None).train(ROWS, base, None, tmp_path / "adapters", 3)
    assert not (tmp_path / "training").exists()


KILLED = """
import json, os, sys
from pathlib import Path
import peft, trl
from finetune.train.sft import SupervisedFineTuning
sys.path.insert(0, sys.argv[3])
from test_train_resume import QUICK, ROWS
base, out, statuses = Path(sys.argv[1]), Path(sys.argv[2]), {}
for point in ("train.checkpoint:3", ""):
    child = os.fork()
    if child == 0:
        os.environ["INSTAR_FAILPOINT"] = point
        config = SupervisedFineTuning.Config(**QUICK, save_seconds=0)
        adapter = SupervisedFineTuning(config).train(ROWS, base, None, out, seed=3)
        (out.parent / "told.json").write_text(json.dumps([adapter.name, adapter.metrics]))
        os._exit(0)
    statuses[point] = os.waitpid(child, 0)[1]
print(json.dumps(statuses))
"""


def test_a_training_killed_while_it_saves_goes_on_from_the_save_before(base, whole, tmp_path):
    command = [sys.executable, "-c", KILLED, base, tmp_path / "adapters", ROOT / "tests"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout.splitlines()[-1]) == {"train.checkpoint:3": 9, "": 0}
    name, metrics = json.loads((tmp_path / "told.json").read_text())
    assert metrics["steps_before"] == 2 and name == whole.name
    assert metrics["losses"] == whole.metrics["losses"]
    assert not (tmp_path / "training").exists()


def test_checkpoints_come_by_the_clock_only_the_last_stays_and_old_trainings_go(tmp_path):
    now = [0.0]
    kept = Checkpoints(tmp_path / "adapters", "key", 60.0, clock=lambda: now[0])
    assert kept.latest() is None and not kept.due()
    now[0] = 61.0
    assert kept.due()
    for step in (9, 10):
        (kept.folder / f"checkpoint-{step}").mkdir(parents=True)
        kept.seal(step, {"step": step})
    assert not kept.due() and [p.name for p in kept.folder.iterdir()] == ["checkpoint-10"]
    (kept.folder / "checkpoint-11").mkdir()
    assert kept.facts(kept.latest()) == {"step": 10}
    stale = kept.folder.parent / "stale"
    stale.mkdir()
    os.utime(stale, (0, 0))
    with pytest.raises(Enough), kept.kept_if_left():
        raise Enough
    assert [p.name for p in kept.folder.iterdir()] == ["checkpoint-10"] and not stale.exists()
    with kept.kept_if_left():
        pass
    assert not kept.folder.parent.exists()


def test_a_dry_run_says_what_a_training_would_take_and_leaves_nothing(base, tmp_path, whole):
    rows = RowSet.of([*ROWS.rows, row("7" * 600)], {})
    found = trainer(max_length=900).dry_run(rows, base, None, 3)
    assert (found["rows_used"], found["rows_cut"], found["steps_planned"]) == (10, 1, 5)
    assert found["tokens"] == whole.metrics["tokens"]
    assert found["longest_row"] > 900 and found["seconds_estimated"] > 0
    size = sum(p.stat().st_size for p in base.glob("*.safetensors"))
    assert found["bytes_estimated"] > size + 12 * found["trained_parameters"]
    assert "10 rows used, 1 too long" in found["summary"] and "no adapter" in found["summary"]
    more = trainer(max_length=900, batch=10, micro=10).dry_run(rows, base, None, 3)
    assert more["bytes_estimated"] > found["bytes_estimated"]
    assert not any(tmp_path.iterdir())


@pytest.mark.parametrize(("form", "scale"), [("dora", 2.0), ("rslora", 16 / 8**0.5)])
def test_other_forms_of_adapters_are_one_setting(base, whole, tmp_path, form, scale):
    from peft import PeftModel

    from finetune.train._model import load, quiet

    made = trainer(**{form: True}).train(ROWS, base, None, tmp_path / "adapters", 3)
    assert made.name != whole.name and made.recipe[form] is True
    written = json.loads((Path(made.path) / "adapter_config.json").read_text())
    assert written[f"use_{form}"] is True
    with quiet():
        served = PeftModel.from_pretrained(load(base, "cpu", "fp32")[0], made.path)
    layer = next(m for m in served.modules() if hasattr(m, "lora_A"))
    assert layer.scaling["default"] == pytest.approx(scale)
    assert made.metrics["loss_last"] < made.metrics["loss_first"]


def test_four_bits_without_cuda_are_refused_in_a_line(base, tmp_path, monkeypatch):
    from finetune.train._model import load

    with pytest.raises(UserError, match="Four bits need CUDA"):
        trainer(quantize="nf4").train(ROWS, base, None, tmp_path / "adapters", 3)
    assert not list(tmp_path.glob("*/*"))
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(MissingExtra, match="bitsandbytes is not installed"):
        load(base, "cuda", "bf16", "nf4")


async def test_the_loop_takes_a_dry_run_for_a_turn_without_an_adapter(base, tmp_path):
    told = io.StringIO()
    options = [f"model.name=local/{base}", f"workspace={json.dumps(str(tmp_path / 'w'))}"]
    options += [
        "train.dry_run=true",
        "methods.sft.max_steps=5",
        "methods.sft.batch=2",
        "model.device=cpu",
    ]
    async with Workspace.open(load_config(None, options)) as workspace:
        loop = Loop(workspace, Progress(console=Console(file=told, width=400)))
        began = await start(loop, "start", {"turn": 1})
        ROWS.save(workspace.path / "datasets" / ROWS.hash)
        loop.store.finish_stage("g1/curate", {"dataset": ROWS.hash, "rows": len(ROWS.rows)})
        facts = (await train(loop, "g1/train", {"turn": 1, **began.state})).facts
    assert facts["adapter"] is None and facts["dry_run"]["steps_planned"] == 5
    assert facts["reason"] == facts["dry_run"]["summary"]
    assert "g1/train: dry run, no adapter was made: 10 rows used" in told.getvalue()
    assert not list((tmp_path / "w").glob("adapters/*"))
