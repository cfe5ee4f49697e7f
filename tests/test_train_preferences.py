"""Trainers that compare with the policy they start from: `dpo` on pairs, `webrl` on advantages."""

import math
from pathlib import Path

import pytest
from contract_base import make_base
from test_train_resume import row

from finetune.curate.base import RowSet
from finetune.train.dpo import DirectPreferenceOptimisation
from finetune.train.sft import SupervisedFineTuning
from finetune.train.webrl import WebRL
from instar.errors import UserError
from instar.types import content_hash

POCKET = Path(__file__).resolve().parent.parent / "finetune" / "pocket" / "model"
QUICK = {"precision": "fp32", "max_steps": 8, "batch": 4, "device": "cpu", "seconds": 600.0}


class Rows:
    """Pairs or rows, as a curator would give them."""

    def __init__(self, rows):
        self.rows, self.dropped, self.hash = rows, {}, content_hash(list(rows))


def pair(number):
    """The same call, tagged as it should be and as it should not."""
    whole = row(number)
    [good] = whole.pop("completion")
    [call] = good["tool_calls"]
    function = {**call["function"], "arguments": {"record": str(number), "text": "blue"}}
    bad = {**good, "tool_calls": [{**call, "function": function}]}
    lineage = {"trajectory": f"t{number}", "against": f"u{number}", "step": 0, "memories": False}
    return {**whole, "chosen": [good], "rejected": [bad], **lineage}


PAIRS = Rows([pair(n) for n in range(410, 418)])


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    return make_base(tmp_path_factory.mktemp("preferences") / "base")


def answers_loss(base, adapter, rows):
    """Log-probability of each row's answer under the base, or with an adapter on it."""
    from contextlib import nullcontext

    from peft import PeftModel

    from finetune.train._encode import encode
    from finetune.train._loss import each_answer
    from finetune.train._model import load, quiet

    with quiet():
        model, words = load(base, "cpu", "fp32")
        served = PeftModel.from_pretrained(model, adapter) if adapter else model
    encoded = encode(rows, words, [words.eos_token_id], 2048)
    return [-sum(own) for own in each_answer(served, encoded, 0, nullcontext())]


def test_pairs_teach_pocket_to_prefer_the_better_answer(tmp_path):
    config = DirectPreferenceOptimisation.Config(**QUICK, epochs=4, lr=1e-3, anchors=8)
    trainer = DirectPreferenceOptimisation(config)
    adapter = trainer.train(PAIRS, POCKET, None, tmp_path / "adapters", 0)
    found = adapter.metrics
    assert found["rows_used"] == 8 and found["rows_cut"] == found["rows_masked"] == 0
    assert found["loss_last"] < found["loss_first"]
    assert found["rewards_margins"][0] == pytest.approx(0, abs=1e-3)
    assert found["rewards_margins"][-1] > 0.1 and found["rewards_accuracies"][-1] == 1.0
    assert found["logps_chosen"][-1] > found["logps_chosen"][0]
    for sort in ("followed", "other"):
        drift = found[f"anchors_{sort}"]
        assert drift["rows"] == 4 and 0 < drift["before"] < 0.5
        assert 0 < abs(drift["after"] - drift["before"]) < 1
    one = [{**p, "completion": p[name]} for p in PAIRS.rows[:1] for name in ("chosen", "rejected")]
    before, after = (answers_loss(POCKET, path, one) for path in (None, adapter.path))
    assert after[0] - after[1] > before[0] - before[1]


def test_the_parent_is_the_reference_where_training_goes_on_from_it(base, tmp_path):
    short = {**QUICK, "max_steps": 3, "lr": 5e-3}
    made = DirectPreferenceOptimisation(DirectPreferenceOptimisation.Config(**short)).train(
        PAIRS, base, None, tmp_path, 0
    )
    further = DirectPreferenceOptimisation.Config(**short, start="parent")
    child = DirectPreferenceOptimisation(further).train(PAIRS, base, Path(made.path), tmp_path, 0)
    assert child.parent == made.name and child.name != made.name
    assert child.metrics["rewards_margins"][0] == pytest.approx(0, abs=1e-3)
    assert {p.name for p in Path(child.path).iterdir()} >= {"adapter_model.safetensors"}
    assert not (Path(child.path) / "ref").exists()


def test_pairs_that_do_not_fit_or_do_not_differ_are_counted(base):
    from finetune.train._model import load
    from finetune.train._pairs import encode_pairs

    _, words = load(base, "cpu", "fp32")
    same = {**pair(1), "rejected": pair(1)["chosen"]}
    long = pair("7" * 400)
    found = encode_pairs([pair(1), same, long], words, [words.eos_token_id], 700).metrics()
    assert (found["rows_used"], found["rows_masked"], found["rows_cut"]) == (1, 1, 1)


@pytest.mark.parametrize(
    ("method", "rows", "told"),
    [
        (SupervisedFineTuning, PAIRS, "pairs of answers, and sft learns from single .*curator=rft"),
        (WebRL, PAIRS, "webrl learns from single answers"),
        (
            DirectPreferenceOptimisation,
            RowSet.of([row(1)], {}),
            "dpo learns from pairs of answers.*curator=pairs",
        ),
    ],
)
def test_rows_of_the_other_form_are_refused_in_a_line(method, rows, told, tmp_path):
    with pytest.raises(UserError, match=told) as caught:
        method().train(rows, tmp_path, None, tmp_path / "out", 0)
    assert "\n" not in str(caught.value) and not (tmp_path / "out").exists()


def test_a_good_answer_becomes_likelier_by_the_factor_asked_for_and_a_bad_one_less(base, tmp_path):
    good, bad = row(411), {**row(499), "weight": -0.6}
    rows = Rows([good, bad])
    config = WebRL.Config(**{**QUICK, "batch": 2, "micro": 1, "max_steps": 60, "epochs": 60})
    adapter = WebRL(config).train(rows, base, None, tmp_path, 0)
    before, after = (answers_loss(base, path, rows.rows) for path in (None, adapter.path))
    # Advantages 1 and -0.6: the first loss is the mean of their squares.
    assert adapter.metrics["loss_first"] == pytest.approx((1 + 0.36) / 2, rel=1e-3)
    assert adapter.metrics["loss_last"] < 0.1
    ratios = [b - a for a, b in zip(before, after, strict=True)]
    assert ratios[0] == pytest.approx(1, abs=0.5) and ratios[1] == pytest.approx(-0.6, abs=0.5)
    assert all(math.isfinite(ratio) for ratio in ratios)
