"""Grids that measure: the arms of whole evolutions over seeds, resumed and read, and the grids that ship."""

import json
import shutil
from pathlib import Path

import pytest
from typer.testing import CliRunner

from benchmarks.houses.world import HouseWorld
from finetune.pocket import MODEL_DIR
from instar import _measuring, ablating
from instar._grids import EXAMPLE, Grid, read_grid
from instar._measure import Measure
from instar._methods import build
from instar._over_runs import Cell, Outcome, figures
from instar.ablating import ablate, configs
from instar.cli import app
from instar.errors import UnknownName, UserError
from instar.progress import Progress
from instar.types import Split

QUIET = Progress(quiet=True)
GRIDS = sorted((Path(__file__).parents[1] / "benchmarks" / "grids").glob("*.toml"))
GRID = """
generations = 2
seeds = [3, 4]
[base]
"model.name" = "oracle_policy.Obedient"
"train.trainer" = "off"
"practise.web_share" = 0
"practise.tasks" = 16
"gate.tasks" = 32
"report.tasks" = 4
"practise.concurrency" = 8
[configs.one]
[measure.arms]
arms = ["memory", "both", "placebo_memory"]
n = 8
[measure.whole]
arms = ["both"]
n = 8
[measure.free]
arms = ["base"]
n = 4
free = true
[measure.turns]
arms = ["memory"]
n = 8
generation = "all"
[measure.library]
arms = ["base"]
n = 4
world = "library_desk"
"""


@pytest.fixture(scope="module")
def ran(tmp_path_factory):
    folder = tmp_path_factory.mktemp("ablated")
    file = folder / "grid.toml"
    file.write_text(GRID)
    result = CliRunner().invoke(app, ["ablate", str(file), "--json"])
    assert result.exit_code == 0, result.output
    return file, json.loads(result.stdout.splitlines()[-1])


def test_arms_are_compared_over_runs_and_pooled_over_tasks(ran):
    file, found = ran
    figures = found["measures"]["arms"]["one"]
    arms = figures["arms"]
    assert set(arms) == {"base", "memory", "both", "placebo_memory"}
    for one in arms.values():
        assert one["success"] == pytest.approx(sum(one["runs"]) / 2)
    over = {(p["a"], p["b"]): p for p in figures["paired"]}
    assert {("base", "memory"), ("placebo_memory", "memory"), ("memory", "both")} <= set(over)
    gain = over["base", "memory"]
    assert gain["n"] == 2 and gain["pooled"]["n"] == 16 and 2 < gain["pooled"]["clusters"] <= 16
    assert (
        gain["difference"] == pytest.approx(gain["pooled"]["difference"]) and gain["difference"] > 0
    )
    assert figures["instead"] == {"3": {"both": "memory"}, "4": {"both": "memory"}}
    assert arms["both"] == arms["memory"] and figures["problems"] == {}
    spent = []
    for seed, (name,) in figures["runs"].items():
        run = file.with_suffix("") / "one" / seed / "runs" / name
        spent.append(json.loads((run / "summary.json").read_text())["arms"]["memory"]["tokens"])
    assert arms["memory"]["tokens"] == pytest.approx(sum(spent) / 2, abs=0.1)
    kept = json.loads((file.with_suffix("") / "ablation.json").read_text())
    assert kept == {k: v for k, v in found.items() if k != "folder"}


def test_what_stands_for_an_arm_is_run_though_nobody_asked_for_it(ran):
    measures = ran[1]["measures"]
    whole = measures["whole"]["one"]
    assert whole["instead"] == {"3": {"both": "memory"}, "4": {"both": "memory"}}
    assert whole["left_out"] == {}
    assert whole["arms"]["both"] == measures["arms"]["one"]["arms"]["memory"]


def test_generations_are_measured_one_by_one(ran):
    figures = ran[1]["measures"]["turns"]["one"]
    assert list(figures["arms"]) == ["g0", "g1", "g2"]
    assert [(p["a"], p["b"]) for p in figures["paired"]] == [("g0", "g1"), ("g0", "g2")]
    base = ran[1]["measures"]["arms"]["one"]["arms"]
    assert figures["arms"]["g0"] == base["base"] and figures["arms"]["g2"] == base["memory"]


def test_a_measure_may_be_of_another_world_or_variant(ran):
    measures = ran[1]["measures"]
    assert measures["library"]["one"]["world"] == "library_desk"
    assert measures["free"]["one"]["arms"]["base"]["success"] == 1
    assert measures["free"]["one"]["paired"] == []


async def test_what_is_measured_is_read_and_what_broke_off_goes_on(ran, monkeypatch):
    file, found = ran
    folder, measure = file.with_suffix(""), _measuring.measure
    (name,) = found["measures"]["arms"]["one"]["runs"]["3"]
    run = folder / "one" / "3" / "runs" / name
    (run / "summary.json").unlink()
    lines = (run / "episodes.jsonl").read_text().splitlines(keepends=True)
    (run / "episodes.jsonl").write_text("".join(lines[:-2]))
    asked = []

    async def counted(workspace, wanted, progress):
        asked.append(wanted.resume)
        return await measure(workspace, wanted, progress)

    monkeypatch.setattr(_measuring, "measure", counted)
    grid = read_grid(file)
    (folder / "one" / "3" / "cell.json").unlink()
    again = await ablate(grid, folder, QUIET)
    assert asked == [name] and again == {k: v for k, v in found.items() if k != "folder"}
    more = grid.model_copy(update={"measure": {"few": Measure(arms=("memory",), n=3)}})
    assert (await ablate(more, folder, QUIET))["measures"]["few"]["one"]["n"] == 3
    assert asked == [name, None, None]


async def test_cells_from_elsewhere_are_put_together_without_their_workspaces(
    ran, tmp_path, monkeypatch
):
    file, found = ran
    for seed in ("3", "4"):
        (tmp_path / "one" / seed).mkdir(parents=True)
        shutil.copy(file.with_suffix("") / "one" / seed / "cell.json", tmp_path / "one" / seed)

    async def never(*arguments):
        raise AssertionError("run again")

    monkeypatch.setattr(ablating, "evolve", never)
    monkeypatch.setattr(_measuring, "measure", never)
    grid = read_grid(file)
    told = await ablate(grid, tmp_path, QUIET)
    assert told == {k: v for k, v in found.items() if k != "folder"}
    kept = json.loads((tmp_path / "one" / "3" / "cell.json").read_text())
    assert kept["asked"]["seed"] == 3 and kept["made_by"]["instar"]
    more = {"arms": grid.measure["arms"].model_copy(update={"n": 9})}
    with pytest.raises(UserError, match="not the run itself"):
        await ablate(grid.model_copy(update={"measure": more}), tmp_path, QUIET)
    (tmp_path / "one" / "4" / "cell.json").write_text("{}")
    with pytest.raises(AssertionError, match="run again"):
        await ablate(grid, tmp_path, QUIET)
    (tmp_path / "one" / "4" / "cell.json").write_text(json.dumps(kept))  # of another seed
    with pytest.raises(AssertionError, match="run again"):
        await ablate(grid, tmp_path, QUIET)


def test_the_tables_say_what_is_compared(ran):
    told = CliRunner().invoke(app, ["ablate", str(ran[0])])
    assert told.exit_code == 0, told.output
    assert "arms, one: house_rules, 8 tasks in each of 2 runs" in told.stdout
    assert "memory - placebo memory" in told.stdout and "95 % over tasks" in told.stdout
    assert "Seed 3: both learnt nothing and counts as memory." in told.stdout
    assert "Nothing in common" not in told.stdout


def test_an_unknown_outcome_and_a_missing_arm_are_not_zero():
    def cell(base, memory):
        return Cell(
            world="w",
            outcomes={
                arm: {(f"t{i}", 0): Outcome("f", v) for i, v in enumerate(values)}
                for arm, values in (("base", base), ("memory", memory))
                if values
            },
        )

    wanted = Measure(arms=("memory",), n=2)
    cells = [cell([0.0, 1.0], [1.0, None]), cell([0.0, 0.0], [1.0, 1.0]), cell([1.0, 1.0], [])]
    found = figures(wanted, 1, (1, 2, 3), cells)
    assert found["arms"]["memory"]["runs"] == [1.0, 1.0, None]
    (pair,) = found["paired"]
    assert (pair["n"], pair["difference"]) == (2, 0.75)
    assert (pair["pooled"]["n"], pair["pooled"]["clusters"], pair["pooled"]["unknown"]) == (4, 2, 1)


@pytest.mark.parametrize(
    ("text", "error", "why"),
    [
        ('arms = ["memory"]\nspeed = 2', UnknownName, "key of a measure 'measure.m.speed'"),
        ('arms = ["memory"]\npractise.web_share = 0', UnknownName, "Settings are quoted"),
        ('arms = ["memry"]', UnknownName, "Did you mean 'memory'"),
        ('arms = ["placebo_memory"]\ngeneration = "all"', UnknownName, "adapter, base, both"),
        ('arms = ["base"]\ngeneration = "all"', UserError, "wants memory, adapter or both"),
        ('arms = ["memory", "memory"]', UserError, "more than once"),
        ("arms = []", UserError, "measure.m.arms"),
    ],
)
def test_a_measure_says_what_is_wrong_with_it(tmp_path, text, error, why):
    file = tmp_path / "grid.toml"
    file.write_text(f"seeds = [1]\n[configs.one]\n[measure.m]\n{text}")
    with pytest.raises(error, match=why):
        read_grid(file)


def test_settings_are_refused_before_any_work(tmp_path):
    grid = Grid(seeds=(1,), configs={"one": {}}, measure={"m": Measure(arms=("memory",))})
    for settings, why in [
        ({"practise.web_shar": 0}, "one, measure m: .*practise.web_share"),
        ({"world.name": "house_rule"}, "Did you mean 'house_rules'"),
        ({"methods.house_rules.variant": "fre"}, "methods.house_rules.variant"),
    ]:
        wanted = {"m": Measure(arms=("memory",), settings=settings)}
        with pytest.raises(UserError, match=why):
            configs(grid.model_copy(update={"measure": wanted}), tmp_path)
    file = tmp_path / "grid.toml"
    file.write_text('seeds = [1]\n[measure.m]\narms = ["memory"]')
    with pytest.raises(UserError, match="has no configuration"):
        read_grid(file)


def test_the_example_is_a_grid(tmp_path):
    (tmp_path / "grid.toml").write_text(EXAMPLE)
    grid = read_grid(tmp_path / "grid.toml")
    assert grid.measure["by_generation"].settings == {"practise.web_share": 0}
    assert configs(grid, tmp_path)


@pytest.mark.parametrize("path", GRIDS, ids=lambda p: p.stem)
def test_the_grids_that_ship_can_be_run(path, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("pocket-twin").symlink_to(MODEL_DIR)  # which a grid asks to be made first
    grid = read_grid(path)
    cells = configs(grid, tmp_path)
    assert len(cells) == len(grid.seeds) * len(grid.named())
    assert grid.preset == "pocket" and grid.measure
    for (_, seed), (config, others) in cells.items():
        assert config.model.name in ("pocket", "local/pocket-twin")
        assert set(others) == set(grid.measure)
        for what, other in others.items():
            assert other.workspace == config.workspace
            settings = {"house": seed, "free": grid.measure[what].free}
            world = build("benchmarks.worlds", other.world.name, other, **settings)
            if isinstance(world, HouseWorld) and seed == grid.seeds[0]:
                tasks = world.tasks(Split.HELD_OUT, grid.measure[what].n, seed)
                assert len(tasks) == grid.measure[what].n
