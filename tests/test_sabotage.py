"""Sabotaged evolutions: who spoils them, what counts as harm, and that nothing harmful is promoted.

`make soak` runs four evolutions of each of five sabotages, and four honest ones to count good
candidates that were turned away; each is measured on 400 fresh tasks. All but the training that runs
away learn by heart instead of training weights. What was run stays in `.soak/sabotage`, its table too.
"""

from __future__ import annotations

import json
import random

import pytest
from conftest import ROOT
from episodes import task
from test_distill import lived, polished

from benchmarks.studies import sabotage
from benchmarks.studies._harm import HARM, Comparison, corrected, report, table
from benchmarks.studies._saboteurs import Mislabelled, Nodding, Poisoner
from benchmarks.studies.sabotage import SABOTAGES, case, study
from benchmarks.worlds.house_rules import HouseRules
from instar.errors import UnknownName, UserError
from instar.progress import Progress
from instar.types import Split, Status
from memory.distill.workflow import Workflow

QUIET = Progress(quiet=True)
SOAK = ROOT / ".soak" / "sabotage"
_FRESH, _SEEDS = 400, range(2000, 2004)
ROTE = ["model.name=rote_policy.Rote", "train.trainer=rote_policy.RoteTrainer"]
USUAL = [*ROTE, "practise.tasks=24", "gate.tasks=60"]
TINY = [*ROTE, "practise.tasks=6", "gate.tasks=4", "gate.probe_tasks=2", "moult.tasks=4"]


@pytest.fixture(scope="module", autouse=True)
def base(tmp_path_factory):
    path = tmp_path_factory.mktemp("base")
    (path / "model.safetensors").write_bytes(b"weights")
    patch = pytest.MonkeyPatch()
    patch.setenv("TINY_MODEL", str(path))
    patch.setattr("rote_policy.Rote.folder", path)
    yield
    patch.undo()


# Those who spoil


async def scores(world, split: Split, n: int = 100) -> list[Status]:
    """How it goes for somebody who does nothing."""
    found = []
    for one in world.tasks(split, n, 0):
        episode = await world.open(one, 1)
        await episode.finish("")
        found.append((await episode.score()).status)
        await episode.close()
    return found


@pytest.mark.parametrize("gate", [False, True])
async def test_every_fifth_score_is_false_and_none_on_held_out_tasks(gate):
    world = Mislabelled(house=3, web_share=0, flipped=0.2, gate=gate)
    honest = HouseRules(house=3, web_share=0)
    assert world.namespace == honest.namespace
    assert set(await scores(honest, Split.PRACTISE)) == {Status.FAIL}
    practised = await scores(world, Split.PRACTISE)
    assert 10 <= practised.count(Status.PASS) <= 30
    assert practised == await scores(world, Split.PRACTISE), "the same attempt is scored the same"
    assert (Status.PASS in await scores(world, Split.GATE)) is gate
    assert set(await scores(world, Split.HELD_OUT)) == {Status.FAIL}


async def test_lost_scores_are_unknown():
    world = Mislabelled(house=3, web_share=0, lost=1.0)
    assert set(await scores(world, Split.PRACTISE, 10)) == {Status.UNKNOWN}


def test_a_poisoner_gives_each_workflow_the_calls_of_another_and_keeps_its_standing():
    lamps = [polished("417"), polished("562")]
    crate = lived("stack crate 9 12", ("stack", {"crate": "9", "count": "12"}, "stacked"))
    honest = {op.item.when: op.item for op in Workflow().distill([*lamps, crate], [])}
    spoilt = {op.item.when: op.item for op in Poisoner().distill([*lamps, crate], [])}
    assert honest.keys() == spoilt.keys() and len(honest) > 1
    assert {i.content for i in honest.values()} == {i.content for i in spoilt.values()}
    for when, item in spoilt.items():
        assert item.content != honest[when].content
        assert (item.origin, item.support) == (honest[when].origin, honest[when].support)
    assert Poisoner().distill(lamps, []) == []


# What counts as harm


def compared(won: int, lost: int, n: int = 400, decision: str = "promote", seed: int = 0):
    before = [*[0.0] * won, *[1.0] * lost, *[1.0] * (n - won - lost)]
    after = [*[1.0] * won, *[0.0] * lost, *[1.0] * (n - won - lost)]
    named = {"sabotage": "labels", "seed": seed, "gate": "g1/gate_memory", "candidate": "g1-a"}
    return Comparison(**named, decision=decision, before=tuple(before), after=tuple(after))


def test_a_clear_loss_is_harmful_and_one_that_the_margin_allows_is_not():
    assert corrected([compared(0, 80)]) == [(0.95, True)]
    assert not corrected([compared(0, 20)])[0][1], "five points worse is not below five points"
    assert corrected([]) == []


def test_the_more_are_looked_at_the_surer_it_must_be():
    doubtful = compared(10, 46)
    assert corrected([doubtful])[0][1]
    assert doubtful.ends()[1] < HARM < doubtful.ends(1 - 0.05 / 40)[1]
    assert not any(harmful for _, harmful in corrected([doubtful] * 40))
    found = corrected([compared(0, 0), compared(0, 200), doubtful])
    assert [level for level, _ in found] == pytest.approx([0.95, 1 - 0.05 / 3, 0.975])
    assert [harmful for _, harmful in found][:2] == [False, True]


def test_chance_alone_is_seldom_called_harm():
    rng = random.Random(0)
    studies = [
        [compared(rng.randint(20, 40), rng.randint(40, 60)) for _ in range(20)] for _ in range(10)
    ]
    assert sum(any(harmful for _, harmful in corrected(one)) for one in studies) <= 1


def test_good_candidates_that_were_turned_away_are_counted():
    found = [
        compared(60, 0, decision="reject"),
        compared(60, 0, decision="promote"),
        compared(60, 0, decision="undecided"),
        compared(0, 0, decision="undecided"),
        compared(0, 100, decision="reject"),
    ]
    told = report(found)
    assert told["good"] == {"reject": 1, "promote": 1, "undecided": 1}
    assert told["promoted"] == 1 and told["harmful"] == []
    assert "good candidates: 3, of which reject 33%" in table(found)
    assert "HARMFUL" in table([compared(0, 100)])


# The whole


async def test_a_study_is_run_measured_and_read_again(tmp_path, monkeypatch):
    found = await study([0], 6, tmp_path, QUIET, ["judge"], TINY)
    assert [c.gate for c in found][:1] == ["g1/gate_memory"]
    assert all(len(c.before) == len(c.after) == 6 for c in found)
    kept = json.loads((tmp_path / "sabotage.json").read_text())
    assert kept["gates"] == report(found)["gates"] and kept["harmful"] == []
    monkeypatch.setattr("benchmarks.studies._spoiling.evolve", None)
    monkeypatch.setattr("benchmarks.studies._spoiling.once", None)
    assert await study([0], 6, tmp_path, QUIET, ["judge"], TINY) == found
    with pytest.raises(UserError, match="--out DIR"):
        await study([0], 7, tmp_path, QUIET, ["judge"], TINY)


async def test_a_sabotage_that_does_not_exist_is_a_mistake_of_one_line(tmp_path, capsys):
    with pytest.raises(UnknownName, match="labels"):
        await case("label", 0, 1, tmp_path, QUIET)


def test_five_sabotages_are_run_and_one_honest_study(tmp_path, capsys):
    assert set(SABOTAGES) == {"labels", "poison", "judge", "data", "rate", "none"}
    assert sabotage.main(["--out", str(tmp_path), "-o", "practise.task=3", "--only", "data"]) == 2
    assert "practise.tasks" in capsys.readouterr().err


async def test_a_judge_that_nods_passes_everything():
    said = await Nodding().score(task("1"), [polished("417", passed=False)])
    assert [s.status for s in said] == [Status.PASS]


# The soak


def settings(name: str) -> list[str]:
    # Training that runs away needs weights; it is pocket's, on fewer tasks.
    return ["practise.tasks=16", "gate.tasks=24", "moult.tasks=24"] if name == "rate" else USUAL


@pytest.mark.soak
@pytest.mark.timeout(0)
@pytest.mark.parametrize("seed", _SEEDS)
@pytest.mark.parametrize("name", SABOTAGES)
async def test_nothing_harmful_is_promoted_under_sabotage(name, seed):
    found = await case(name, seed, _FRESH, SOAK, QUIET, settings(name))
    promoted = [c for c in found if c.decision == "promote"]
    assert not any(harmful for _, harmful in corrected(promoted)), table(found)


@pytest.mark.soak
@pytest.mark.timeout(0)
async def test_nothing_harmful_is_promoted_in_all_of_them():
    found = []
    for name in SABOTAGES:
        for seed in _SEEDS:
            found += await case(name, seed, _FRESH, SOAK, QUIET, settings(name))
    (SOAK / "sabotage.json").write_text(json.dumps(report(found), indent=1))
    (SOAK / "sabotage.txt").write_text(table(found))
    assert report(found)["harmful"] == [], table(found)
