"""Trainings in one process and in two, each in processes forked from this one, so that only it loads.

`python train_ranks.py FOLDER` prints what each came to: adapter, its metrics, or an error.
"""

import json
import os
import socket
import sys
import traceback
from pathlib import Path

from contract_base import make_base
from contract_cases import TOOLS

from finetune.curate.base import RowSet
from finetune.train import _ranks
from finetune.train._watch import Watch
from finetune.train.dpo import DirectPreferenceOptimisation
from finetune.train.sft import SupervisedFineTuning
from finetune.train.webrl import WebRL
from instar.errors import InstarError

QUICK = {"precision": "fp32", "batch": 4, "max_steps": 4, "device": "cpu", "seconds": 600.0}
SMALL = {**QUICK, "micro": 1, "lr": 1e-2, "save_seconds": 0}


def answer(number, text):
    """An answer that is a call; answers differ in length."""
    function = {"name": "tag", "arguments": {"record": str(number), "text": text}}
    call = {"id": "call00000", "type": "function", "function": function}
    return [{"role": "assistant", "content": "", "tool_calls": [call]}]


def row(number, **answers):
    """A turn of the contract suite's kind, with a record of its own."""
    prompt = [{"role": "system", "content": "work"}]
    prompt += [{"role": "user", "content": f"task: refund order {number}" + " now" * (number % 3)}]
    return {"prompt": prompt, "tools": [t.schema_openai() for t in TOOLS], **answers}


NUMBERS = range(410, 423)
ROWS = RowSet.of(
    [row(n, completion=answer(n, "red" * (n % 5)), weight=n % 4 - 1.5) for n in NUMBERS], {}
)
PAIRS = RowSet.of(
    [row(n, chosen=answer(n, "red"), rejected=answer(n, "green" * (1 + n % 3))) for n in NUMBERS],
    {},
)
CASES = {
    "padded": (SupervisedFineTuning, {"micro": 2}, ROWS),
    "packed": (SupervisedFineTuning, {"micro": 2, "packing": True}, ROWS),
    "accumulated": (SupervisedFineTuning, {"micro": 1, "checkpointing": True}, ROWS),
    "webrl": (WebRL, {"micro": 1}, ROWS),
    "dpo": (DirectPreferenceOptimisation, {"micro": 2}, PAIRS),
}


class Own(SupervisedFineTuning):
    """Somebody's own trainer, by dotted path."""

    id = "own"


class Enough(InstarError):
    """Whoever watches has asked to leave."""


def trained(case, base, out):
    """Name, path and metrics of an adapter."""
    kind, changes, rows = CASES[case]
    made = kind(kind.Config(**QUICK, lr=1e-2, **changes)).train(rows, base, None, out, 3)
    return [made.name, made.path, made.metrics]


def gone_on(base, out):
    """The first process is asked to leave after the second step; then all of it once more."""

    def leave(progress):
        if progress.step == 2:
            raise Enough("that will do")

    trainer = SupervisedFineTuning(
        SupervisedFineTuning.Config(**SMALL), leave if _ranks.first() else None
    )
    left = []
    try:
        trainer.train(ROWS, base, None, out, 3)
    except InstarError as error:
        left = [type(error).__name__, *(p.name for p in out.parent.glob("training/*/*"))]
    _ranks.wait()
    trainer.progress = None
    return [left, trainer.train(ROWS, base, None, out, 3).metrics]


def out_of_time(base, out):
    """One process has a clock by which time is up after the first step, the other has none."""
    ticks = iter(range(1000))
    Watch.seconds = property(lambda watch: 25.0 * next(ticks) if _ranks.first() else 0.001)
    config = SupervisedFineTuning.Config(**{**SMALL, "max_steps": 40, "seconds": 100.0})
    return SupervisedFineTuning(config).train(ROWS, base, None, out, 3).metrics


def port():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


def everything(base, folder):
    """All trainings, one after the other."""
    found = {case: trained(case, base, folder / case / "adapters") for case in CASES}
    if _ranks.count() > 1:
        found["gone_on"] = gone_on(base, folder / "gone_on" / "adapters")
        found["out_of_time"] = out_of_time(base, folder / "out_of_time" / "adapters")
    return found


def run(base, folder, processes):
    """What each of some processes came to."""
    folder.mkdir()
    told = [folder / f"told-{rank}.json" for rank in range(processes)]
    os.environ["MASTER_PORT"] = str(port())
    children = []
    for rank in range(processes):
        child = os.fork()
        if child == 0:
            try:
                if processes > 1:
                    join(rank, processes)
                told[rank].write_text(json.dumps(everything(base, folder)))
            except BaseException:  # noqa: BLE001 - a copy of the parent must not go on as the parent
                traceback.print_exc()
            finally:
                os._exit(0)
        children.append(child)
    for child in children:
        os.waitpid(child, 0)
    return [json.loads(path.read_text()) for path in told]


def join(rank, processes):
    """Be one of several, as `accelerate launch` would have it."""
    from accelerate import PartialState

    given = {
        "RANK": rank,
        "LOCAL_RANK": rank,
        "WORLD_SIZE": processes,
        "LOCAL_WORLD_SIZE": processes,
    }
    os.environ |= {name: str(value) for name, value in given.items()}
    os.environ |= {"MASTER_ADDR": "127.0.0.1", "ACCELERATE_USE_CPU": "true"}
    PartialState(cpu=True)


def main(folder):
    # Once for all, and nothing that begins threads: they would not be in a copy.
    import matplotlib.pyplot  # noqa: F401
    from peft import PeftModel  # noqa: F401
    from trl import DPOConfig, DPOTrainer, SFTConfig, SFTTrainer  # noqa: F401

    base = make_base(folder / "base")
    print(json.dumps([run(base, folder / str(processes), processes) for processes in (1, 2)]))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
