"""The recipes that train, in the loop as far as a model without weights goes: what is practised, what is
made of failures and of walks, and which rows would be trained on.
"""

import json
from pathlib import Path

from instar._exploring import LONGEST
from instar._methods import build
from instar._recalling import withheld
from instar.compose import Workspace
from instar.config import load_config
from instar.evolve import evolve_until
from instar.progress import Progress
from instar.types import Split, Status

ROOT = Path(__file__).resolve().parent.parent
QUIET = Progress(quiet=True)
TINY = (
    "model.name=oracle_policy.Obedient",
    "train.trainer=off",
    "practise.web_share=0",
    "practise.tasks=6",
    "agent.prompts=compact",
    "curriculum.proposals=4",
    "seed=3",
)


def opened(folder, recipe, said, *more):
    """A workspace with a recipe, a policy that acts, and a script that writes."""
    script = folder / "writer.json"
    script.write_text(json.dumps([said]))
    places = [f"preset={ROOT / 'recipes' / recipe}.toml", f"memory.model=scripted:{script}"]
    where = f"workspace={json.dumps(str(folder / 'workspace'))}"
    return Workspace.open(load_config(overrides=[*places, where, *TINY, *more]))


def test_agentevolver_mixes_experience_walks_and_credits_steps_as_its_page_says():
    config = load_config(overrides=[f"preset={ROOT / 'recipes' / 'agentevolver.toml'}"])
    shares = withheld(config.memory, "practise")
    assert (shares.bank, shares.candidate, shares.active) == (0.5, 0.0, 0.0)
    assert withheld(config.memory, "gate") is None
    (walks,) = (build("curriculum.propose", n, config) for n in config.curriculum.propose)
    assert walks.config.steps == LONGEST
    credit = build("finetune.curate", config.train.curator, config).config
    assert (credit.alpha, credit.followed, credit.memory_share) == (0.1, False, 0.0)


async def test_webrl_makes_tasks_of_what_failed_and_remembers_nothing(tmp_path):
    wanted = [{"family": family, "params": {"records": 1}} for family in ("close", "archive")]
    said = f"```json\n{json.dumps(wanted)}\n```"
    more = ("train.curator=rft",)  # its own curator asks a model with weights
    async with opened(tmp_path, "webrl", said, *more) as workspace:
        await evolve_until(workspace, "curate", QUIET, practise=True)
        lived = workspace.store.trajectories(stage="g1/practise_2")
        made = [t for t in lived if t.task.origin == "from_failures"]
        failed = {
            t.task.id
            for t in workspace.store.trajectories(stage="g1/practise_1")
            if t.score.status is Status.FAIL
        }
        assert made and {t.task.family for t in made} <= {"close", "archive"}
        assert all(t.task.split is Split.PRACTISE and set(t.task.parents) <= failed for t in made)
        assert not any(t.memories for t in lived)
        assert not workspace.store.items(workspace.store.active().id)


def test_webrl_curates_and_trains_as_its_page_says():
    config = load_config(overrides=[f"preset={ROOT / 'recipes' / 'webrl.toml'}"])
    band = build("finetune.curate", config.train.curator, config).config
    assert (band.low, band.high, band.replay, band.memory_share) == (0.5, 0.95, 2.0, 0.0)
    assert not band.followed
    actor = build("finetune.train", config.train.trainer, config).config
    assert (actor.beta, actor.epochs, actor.start) == (1.0, 1, "parent")
