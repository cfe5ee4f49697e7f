"""The batch runner: paired seeds, bounded concurrency, one line an episode, resume, figures."""

import asyncio
import json

import pytest
from episodes import task, trajectory

from benchmarks.runner import Settings, bounded, episode_seed, read_lines, read_settings, run
from benchmarks.spending import Spending
from benchmarks.summary import summarise
from instar._cli_figures import unknown_lines
from instar.errors import ModelFault, UserError
from instar.types import Status, Usage

TASKS = [task(f"{100 + i}") for i in range(12)]
SETTINGS = Settings(
    run="r1",
    benchmark="toy",
    namespace="toy/0",
    generation="g1-abcdef",
    model="toy",
    n=12,
    seed=7,
    arms=("base", "memory"),
)


class Solver:
    """Passes the first ``clean`` tasks; remembers what it was asked."""

    def __init__(self, clean: int, fails_at: int | None = None) -> None:
        self.clean, self.fails_at, self.asked = clean, fails_at, []
        self.running = self.most = 0

    async def __call__(self, of, seed):
        self.running += 1
        self.most = max(self.most, self.running)
        await asyncio.sleep(0)
        self.running -= 1
        if len(self.asked) == self.fails_at:
            raise ModelFault("the server is gone")
        self.asked.append((of.id, seed))
        passes = TASKS.index(of) < self.clean
        return trajectory(of, Status.PASS if passes else Status.FAIL, seed)


async def test_arms_see_the_same_tasks_with_the_same_seeds(tmp_path):
    solvers = {"base": Solver(2), "memory": Solver(9)}
    lines = await run(SETTINGS, TASKS, solvers, tmp_path / "r1", concurrency=3)
    assert sorted(solvers["base"].asked) == sorted(solvers["memory"].asked)
    assert len({seed for _, seed in solvers["base"].asked}) == len(TASKS)
    assert [x.key for x in lines[:2]] == [("base", "100", 0), ("base", "101", 0)]
    assert solvers["base"].most <= 3
    assert read_settings(tmp_path / "r1") == SETTINGS
    versions = json.loads((tmp_path / "r1" / "settings.json").read_text())["versions"]
    assert {"python", "langgraph"} <= set(versions)


async def test_a_run_that_broke_off_goes_on_with_what_is_missing(tmp_path):
    folder = tmp_path / "r1"
    with pytest.raises(ModelFault):
        await run(SETTINGS, TASKS, {"base": Solver(2), "memory": Solver(9, fails_at=4)}, folder, 1)
    with (folder / "episodes.jsonl").open("a") as file:
        file.write('{"arm": "memory", "trajectory": {"id": "cut o')
    solvers = {"base": Solver(2), "memory": Solver(9)}
    lines = await run(SETTINGS, TASKS, solvers, folder)
    assert solvers["base"].asked == []
    assert len(solvers["memory"].asked) == 8
    assert len(lines) == 24
    assert len(read_lines(folder)) == 24


async def test_a_limit_holds_with_many_episodes_at_the_same_time(tmp_path):
    costs = {"base": 100, "memory": 900}
    running, most = 0, 0

    def solver(arm):
        async def solve(of, seed):
            nonlocal running, most
            running += 1
            most = max(most, running)
            await asyncio.sleep(0)
            running -= 1
            used = Usage(calls=1, prompt_tokens=costs[arm], completion_tokens=0)
            return trajectory(of, Status.PASS, seed).model_copy(update={"usage": used})

        return solve

    solvers = {arm: solver(arm) for arm in costs}
    limit = Spending(tokens=5000)
    lines = await run(SETTINGS, TASKS, solvers, tmp_path / "r1", 12, limit=limit)
    assert 5000 <= sum(x.trajectory.usage.tokens for x in lines) < 5900
    assert most > 1
    again = await run(SETTINGS, TASKS, solvers, tmp_path / "r1", 12, limit=Spending(tokens=9000))
    assert 9000 <= sum(x.trajectory.usage.tokens for x in again) < 9900


async def test_an_unknown_score_is_run_again(tmp_path):
    async def unknown(of, seed):
        return trajectory(of, Status.UNKNOWN, seed)

    one = SETTINGS.model_copy(update={"arms": ("base",)})
    first = await run(one, TASKS[:2], {"base": unknown}, tmp_path)
    assert summarise(one, first, {})["arms"]["base"]["success"] is None
    again = await run(one, TASKS[:2], {"base": Solver(12)}, tmp_path)
    assert summarise(one, again, {})["arms"]["base"]["success"] == 1.0


async def test_other_settings_under_the_same_name_are_refused(tmp_path):
    solvers = {"base": Solver(2), "memory": Solver(9)}
    await run(SETTINGS, TASKS[:1], solvers, tmp_path)
    with pytest.raises(UserError, match="other settings"):
        await run(SETTINGS.model_copy(update={"seed": 8}), TASKS[:1], solvers, tmp_path)
    with pytest.raises(UserError, match="instar bench list"):
        read_settings(tmp_path / "nothing")


async def test_the_summary_has_the_promised_form(tmp_path):
    lines = await run(SETTINGS, TASKS, {"base": Solver(2), "memory": Solver(9)}, tmp_path)
    summary = summarise(SETTINGS, lines, {"clean": True})
    promised = {
        "benchmark",
        "generation",
        "model",
        "n",
        "seed",
        "protocol",
        "arms",
        "paired",
        "leakage",
        "run",
    }
    assert promised <= set(summary)
    arm = summary["arms"]["memory"]
    promised = {
        "success",
        "interval",
        "recovered",
        "unknown",
        "steps",
        "calls",
        "tokens",
        "seconds",
    }
    assert promised <= set(arm)
    assert (arm["success"], arm["tokens"], arm["recovered"]) == (0.75, 100, 0.0)
    assert arm["metrics"] == {"recovered": 0.0}
    assert arm["interval"][0] < 0.75 < arm["interval"][1]
    (pair,) = summary["paired"]
    assert (pair["a"], pair["b"], pair["n"]) == ("base", "memory", 12)
    assert pair["difference"] == pytest.approx(7 / 12)
    assert pair["p"] == pytest.approx(2 / 2**7)
    assert pair["interval"][0] > 0
    json.dumps(summary)


async def test_unknown_episodes_widen_the_bounds_instead_of_counting_as_zero(tmp_path):
    async def half(of, seed):
        known = TASKS.index(of) < 6
        return trajectory(of, Status.PASS if known else Status.UNKNOWN, seed)

    lines = await run(SETTINGS, TASKS, {"base": Solver(0), "memory": half}, tmp_path)
    summary = summarise(SETTINGS, lines, {})
    assert summary["arms"]["memory"]["success"] == 1.0
    assert sum(summary["arms"]["memory"]["unknown_for"].values()) == 6
    (line,) = unknown_lines(summary["arms"])
    assert line.startswith("memory: 6 of ") and line.endswith("(6)")
    assert summary["arms"]["memory"]["unknown"] == 6
    (pair,) = summary["paired"]
    assert (pair["unknown"], pair["difference"], pair["bounds"]) == (6, 0.5, [0.5, 1.0])


def test_seeds_differ_by_task_and_run_and_stay():
    assert episode_seed(1, TASKS[0]) == episode_seed(1, TASKS[0])
    assert episode_seed(1, TASKS[0]) != episode_seed(2, TASKS[0])


async def test_the_first_error_stops_the_rest():
    done = []

    async def work(job):
        await asyncio.sleep(0.001 * job)
        if job == 2:
            raise UserError("no")
        done.append(job)

    with pytest.raises(UserError):
        await bounded(range(50), work, 2)
    assert len(done) < 4
