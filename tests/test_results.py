"""Results that are kept in the repository are those of its grids, and give the tables that stand beside them."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from finetune.pocket.compare import _row
from instar import ablating
from instar._cells import KeptCell
from instar._grids import read_grid
from instar.ablating import ablate
from instar.progress import Progress

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"
RESULTS = sorted(path.parent for path in (BENCHMARKS / "results").glob("*/grid.json"))
COMPARED = sorted(path.parent for path in (BENCHMARKS / "results").glob("*/compare.json"))


@pytest.mark.parametrize("folder", RESULTS, ids=lambda path: path.name)
async def test_kept_cells_are_those_of_the_grid_and_give_its_table(folder, tmp_path, monkeypatch):
    grid = read_grid(BENCHMARKS / "grids" / f"{folder.name}.toml")
    here = {
        (path.parent.parent.name, int(path.parent.name)) for path in folder.glob("*/*/cell.json")
    }
    assert here <= {(name, seed) for name in grid.named() for seed in grid.seeds}
    for name, seed in here:
        kept = KeptCell(folder / name / str(seed), ablating._asked(grid, name, seed))
        assert kept.report is not None, f"{name} {seed} was run with other settings than the grid's"
        for what, wanted in grid.measure.items():
            assert kept.measured(what, wanted.model_dump(mode="json")) is not None, what
    table = folder / "ablation.json"
    if not table.exists():
        return  # some of its cells are still to be run
    copied = shutil.copytree(folder, tmp_path / "copy")
    monkeypatch.setattr(ablating, "evolve", None)  # all is read
    monkeypatch.setattr(ablating, "measured", None)
    found = await ablate(grid, copied, Progress(quiet=True))
    assert found == json.loads(table.read_text())


@pytest.mark.parametrize("folder", COMPARED, ids=lambda path: path.name)
def test_kept_trainings_give_the_table_of_the_comparison(folder):
    table = json.loads((folder / "compare.json").read_text())
    for name, row in table["variants"].items():
        reports = sorted((folder / name.replace(" ", "-")).glob("*/training.json"))
        kept = [json.loads(path.read_text()) for path in reports]
        runs = [k["history"][-1] | {"parameters": k["parameters"]} for k in kept]
        assert json.loads(json.dumps(_row(runs))) == row


def test_there_are_some():
    assert RESULTS and COMPARED
