"""The perplexity band: earlier turns by how likely a real, tiny model finds them, new ones whole."""

import math

import pytest
from test_curate import MEMORY, elsewhere, episode, step
from test_train import QUICK, ROWS
from test_train import Config as Training
from test_train import bases as bases

from finetune.curate._likelihood import likelihoods
from finetune.curate.perplexity_band import PerplexityBand
from finetune.train.sft import SupervisedFineTuning
from instar._methods import require
from instar.config import load_config
from instar.errors import ConfigError, UserError
from instar.types import Score, Status

Config = PerplexityBand.Config
WORDS = ("kolu", "mara", "red", "a", "b", "c", "d", "e")


def curate(trajectories, **config):
    return PerplexityBand(Config(**{"home": "home", **config})).curate(trajectories)


def lived(word, at=0.0, **changes):
    return episode(word, steps=[step(a=word)], started=at, group=f"g-{word}", **changes)


def old_ones():
    return [lived(word) for word in WORDS]


def test_the_likelihood_is_the_inverse_of_the_perplexity(bases):
    import torch

    from finetune.train._encode import encode
    from finetune.train._model import load

    net, words = load(bases["llama"], "cpu", "fp32")
    long = {**ROWS.rows[0], "prompt": [{"role": "user", "content": "page " * 600}]}
    found = likelihoods([ROWS.rows[0], long, ROWS.rows[1]], bases["llama"], None, "cpu", 512)
    encoded = encode(ROWS.rows[:2], words, [words.eos_token_id], 512)
    with torch.no_grad():
        alone = [
            math.exp(-float(net(torch.tensor([ids]), labels=torch.tensor([labels])).loss))
            for ids, labels in zip(encoded.ids, encoded.labels, strict=True)
        ]
    assert found == [pytest.approx(alone[0], rel=0.02), None, pytest.approx(alone[1], rel=0.02)]


def test_an_adapter_is_asked_too(bases, tmp_path):
    trained = SupervisedFineTuning(Training(**QUICK)).train(ROWS, bases["llama"], None, tmp_path, 0)
    before = likelihoods(ROWS.rows[:2], bases["llama"], None, "cpu", 512)
    after = likelihoods(ROWS.rows[:2], bases["llama"], tmp_path / trained.name, "cpu", 512)
    assert max(before) < 0.5 and min(after) > 0.8


def test_of_earlier_turns_the_band_is_kept(bases):
    base = {"base": bases["llama"], "device": "cpu"}
    everything = curate(old_ones(), low=0, high=1, **base)
    assert len(everything.rows) == len(WORDS) and not everything.dropped
    found = likelihoods(everything.rows, bases["llama"], None, "cpu", 2048)
    ordered = sorted(found)
    low, high = (ordered[1] + ordered[2]) / 2, (ordered[5] + ordered[6]) / 2
    inside = {
        row["trajectory"]
        for row, likely in zip(everything.rows, found, strict=True)
        if low < likely <= high
    }
    banded = curate(old_ones(), low=low, high=high, **base)
    assert {row["trajectory"] for row in banded.rows} == inside
    assert set(banded.dropped.values()) == {
        "earlier, and no turn whose likelihood under the model lies in the band"
    }
    counts = {name: banded.counts[name] for name in ("replayed", "too odd", "too sure", "too long")}
    assert counts == {"replayed": 4, "too odd": 2, "too sure": 2, "too long": 0}
    short = curate(old_ones(), low=0, high=1, max_length=8, **base)
    assert not short.rows and short.counts["too long"] == 8


def test_new_turns_are_all_kept_and_earlier_ones_are_at_most_twice_as_many(bases):
    new = [lived("f", at=10.0), episode("g", steps=[step(a="g")], started=10.0)]
    given = [*old_ones(), *new]
    band = {"base": bases["llama"], "device": "cpu", "since": 5.0, "low": 0, "high": 1}
    found = curate(given, **band)
    assert (found.counts["new"], found.counts["replayed"]) == (2, 4)
    assert [row["trajectory"] for row in found.rows[:2]] == ["f", "g"]
    assert len(found.dropped) == 4
    assert set(found.dropped.values()) == {"earlier, and the share of earlier turns is full"}
    assert curate(given, **band).hash == found.hash != curate(given, seed=1, **band).hash
    assert curate(given, replay=0, **band).counts["replayed"] == 0


def test_of_earlier_episodes_one_a_task_is_asked_about(bases):
    twice = [episode(name, task="t", steps=[step(a=name)]) for name in ("a", "b")]
    found = curate(twice, base=bases["llama"], device="cpu", low=0, high=1)
    assert found.dropped == {"b": "shorter successes of the task fill its cap"}
    assert len(curate(twice, since=0.0).rows) == 2


def test_memories_are_left_out_kept_as_served_and_shared_in_from_elsewhere():
    told = episode("h", memories=(MEMORY,), steps=[step(a="1", cited=("i1",)), step(a="2")])
    found = curate([told, *(elsewhere(f"a{k}") for k in range(3))], since=0.0)
    kinds = [(row["namespace"], row["step"], row["memories"]) for row in found.rows]
    assert kinds[:3] == [("home", 0, False), ("home", 1, False), ("home", 0, True)]
    assert kinds[3:] == [("away", 0, True)]


def test_what_cannot_be_used_has_its_reason_and_no_model_is_a_line(tmp_path):
    failed = lived("a", score=Score(status=Status.FAIL, value=0.0))
    errors = episode("e", steps=[step(error=True)])
    found = curate([failed, errors, lived("b", provider="p")])
    assert not found.rows and found.dropped == {
        "a": "score fail",
        "e": "only duplicate rows, or no turn with a good call",
        "b": "provider 'p' is not allowed: add it to methods.perplexity_band.providers",
    }
    with pytest.raises(UserError, match="which is not on this machine"):
        curate([lived("b")])
    with pytest.raises(UserError, match="No model that can be trained"):
        curate([lived("b")], base=tmp_path)
    require(load_config(None, ["train.curator=perplexity_band"]))
    with pytest.raises(ConfigError, match="openai/x runs elsewhere"):
        require(load_config(None, ["train.curator=perplexity_band", "model.name=openai/x"]))
