"""Every method that `instar.plugins` finds keeps the contract of its kind, and the suite would notice."""

import contract_exchange as exchange
import contract_forget as forget
import contract_probe as probe
import contract_prompt as prompt
import contract_wrong as wrong
import contract_wrong_live as wrong_live
import pytest
from contract_base import make_base
from contract_checks import check_curator, check_distiller, check_proposer, check_selector
from contract_live import check_scaler, check_trainer, check_verifier, check_world

from benchmarks.worlds._yours_example import EXAMPLE
from instar import plugins
from instar.errors import MissingExtra


def plain_base(folder):
    """Enough of a base for trainers that do not look into it."""
    folder.mkdir()
    (folder / "config.json").write_text('{"model_type": "none"}')
    return folder


async def check(kind, cls, folder, base=plain_base):
    """Run the suite of a kind over one class."""
    if kind == "curriculum.select":
        check_selector(cls)
    elif kind == "curriculum.propose":
        await check_proposer(cls)
    elif kind == "memory.distill":
        await check_distiller(cls, folder / "bank")
    elif kind == "memory.forget":
        forget.check_forgetter(cls, folder / "bank")
    elif kind == "memory.exchange":
        exchange.check_format(cls, folder)
    elif kind == "finetune.curate":
        asks_model = getattr(cls, "asks_model", False)
        # What an untrained base finds likely depends on chance: all of it is taken.
        check_curator(
            cls, **({"base": base(folder / "base"), "low": 0, "high": 1} if asks_model else {})
        )
    elif kind == "finetune.probe":
        await probe.check_probe(cls)
    elif kind == "finetune.train":
        check_trainer(cls, base(folder / "base"), folder)
    elif kind == "agent.prompt":
        await prompt.check_evolver(cls)
    elif kind == "agent.scale":
        await check_scaler(cls)
    elif kind == "agent.verify":
        await check_verifier(cls)
    elif kind == "benchmarks.worlds":
        await check_world(cls)
    else:
        pytest.fail(f"the kind {kind} has no contract suite: write one")


METHODS = [(kind, name) for kind in plugins.kinds() for name in plugins.methods(kind)]

RIGHT = {
    "curriculum.select": wrong.RightSelector,
    "curriculum.propose": wrong.RightProposer,
    "memory.distill": wrong.RightDistiller,
    "memory.exchange": exchange.RightFormat,
    "memory.forget": forget.RightForgetter,
    "finetune.curate": wrong.RightCurator,
    "finetune.probe": probe.RightProbe,
    "finetune.train": wrong_live.RightTrainer,
    "agent.prompt": prompt.RightEvolver,
    "agent.scale": wrong_live.RightScaler,
    "agent.verify": wrong_live.RightVerifier,
    "benchmarks.worlds": wrong_live.RightWorld,
}

WRONG = [
    ("curriculum.select", wrong.Repeating, "repeats"),
    ("curriculum.select", wrong.Forgetful, "other draws"),
    ("curriculum.select", wrong.Unrepeatable, "somewhere else"),
    ("curriculum.select", wrong.Credulous, "single attempt"),
    ("curriculum.select", wrong.Superstitious, "unknown scores"),
    ("curriculum.select", wrong.Unwritable, "not JSON"),
    ("curriculum.select", wrong.Mutable, "not frozen"),
    ("curriculum.select", wrong.Stateless, "does not fulfil Selector"),
    ("curriculum.propose", wrong.Overeager, "more drafts"),
    ("curriculum.propose", wrong.Fatherless, "not shown"),
    ("curriculum.propose", wrong.Restarting, "changes by loading"),
    ("curriculum.propose", wrong.Curious, "looks at held-out"),
    ("curriculum.propose", wrong.Modest, "proposer missing"),
    ("curriculum.propose", wrong.Straying, "changes by loading"),
    ("memory.distill", wrong.Peeking, "must not"),
    ("memory.distill", wrong.Doubling, "does not fit the bank"),
    ("memory.distill", wrong.Editing, "does not fit the bank"),
    ("memory.distill", wrong.Gullible, "keeps"),
    ("memory.distill", wrong.Uncounting, "does not count"),
    ("memory.forget", forget.Purging, "pinned"),
    ("memory.forget", forget.Inventing, "does not fit the bank"),
    ("memory.forget", forget.Hoarding, "forgets nothing"),
    ("memory.forget", forget.Restless, "with the same clock"),
    ("memory.exchange", exchange.Shortening, "comes back changed"),
    ("memory.exchange", exchange.Renaming, "ids are not"),
    ("memory.exchange", exchange.Trusting, "takes what it must not"),
    ("memory.exchange", exchange.Blind, "does not recognise"),
    ("memory.exchange", exchange.Hushing, "without saying so"),
    ("finetune.curate", wrong.Indiscriminate, "must not"),
    ("finetune.curate", wrong.Silent, "without a reason"),
    ("finetune.curate", wrong.OneHash, "one hash"),
    ("finetune.curate", wrong.Contrary, "must not"),
    ("finetune.curate", wrong.Indifferent, "to itself"),
    ("finetune.probe", probe.Harmless, "sees nobody give in"),
    ("finetune.probe", probe.Suspicious, "accuses"),
    ("finetune.probe", probe.Certain, "a broken episode"),
    ("finetune.probe", probe.Hiding, "takes tools away"),
    ("finetune.train", wrong_live.Hallucinating, "trains on nothing"),
    ("finetune.train", wrong_live.Vandal, "changes the base"),
    ("finetune.train", wrong_live.Untidy, "leaves something behind"),
    ("agent.prompt", prompt.Anonymous, "under the old name"),
    ("agent.prompt", prompt.Unfenced, "changes the fences"),
    ("agent.prompt", prompt.Restless, "nothing failed"),
    ("agent.prompt", prompt.Wishful, "without a try"),
    ("agent.prompt", prompt.Talkative, "not JSON"),
    ("agent.scale", wrong_live.Cheating, "chooses by the score"),
    ("agent.scale", wrong_live.Thrifty, "count every attempt"),
    ("agent.verify", wrong_live.Skipping, "one score a trajectory"),
    ("agent.verify", wrong_live.Guessing, "a value for what is unknown"),
    ("benchmarks.worlds", wrong_live.Giving, "doing nothing passes"),
    ("benchmarks.worlds", wrong_live.Brittle, "no_such_tool"),
    ("benchmarks.worlds", wrong_live.Leaking, "two splits"),
    ("benchmarks.worlds", wrong_live.Changing, "somewhere else"),
]


@pytest.mark.parametrize(("kind", "name"), METHODS)
async def test_a_method_keeps_its_contract(kind, name, tmp_path, monkeypatch):
    if name == "yours":  # this world finds its tasks in the current folder
        (tmp_path / "tasks.jsonl").write_text(EXAMPLE)
        monkeypatch.chdir(tmp_path)
    try:
        await check(kind, plugins.load(kind, name), tmp_path, make_base)
    except MissingExtra as missing:
        pytest.skip(str(missing))


def test_every_kind_has_methods_and_a_right_and_a_wrong_example():
    assert set(plugins.kinds()) == set(RIGHT) == {kind for kind, _ in METHODS}
    assert {kind for kind, _, _ in WRONG} == set(RIGHT)


@pytest.mark.parametrize("kind", sorted(RIGHT))
async def test_a_right_implementation_passes(kind, tmp_path):
    await check(kind, RIGHT[kind], tmp_path)


async def test_a_right_curator_of_pairs_passes(tmp_path):
    await check("finetune.curate", wrong.RightPairs, tmp_path)


async def test_a_right_proposer_that_explores_passes(tmp_path):
    await check("curriculum.propose", wrong.RightExplorer, tmp_path)


async def test_a_right_distiller_that_asks_a_model_passes(tmp_path):
    await check("memory.distill", wrong.RightAsker, tmp_path)


@pytest.mark.parametrize(
    ("kind", "cls", "why"), WRONG, ids=lambda value: getattr(value, "__name__", None)
)
async def test_a_wrong_implementation_is_rejected(kind, cls, why, tmp_path):
    with pytest.raises((AssertionError, KeyError, pytest.fail.Exception), match=why):
        await check(kind, cls, tmp_path)
