"""Training an adapter for real: a tiny model of a stock architecture, on the CPU."""

import json
import shutil
import subprocess
import sys
from collections import Counter
from contextlib import nullcontext
from pathlib import Path

import pytest

from finetune.curate.base import RowSet
from finetune.registry import Registry, base_hash
from finetune.train._mix import Mix, surprises
from finetune.train._replay import write_replay
from finetune.train._watch import Watch
from finetune.train.base import Contract, linear_layers
from finetune.train.sft import SupervisedFineTuning
from instar.errors import InstarError, UserError
from instar.store import Store

ROOT = Path(__file__).resolve().parent.parent
SPECIAL = ["<|pad|>", "<|tools|>", "<|system|>", "<|user|>", "<|assistant|>", "<|call|>", "<|end|>"]
WORDS = [
    "<unk>",
    "task",
    "done",
    "page",
    "button",
    "name",
    "note",
    "put",
    "answer",
    "ok",
    "a",
    "b",
    "c",
    "d",
    "e",
    "f",
    "g",
    "h",
    "kolu",
    "mara",
    "red",
]
TEMPLATE = (
    "{% if tools %}<|tools|>{% for t in tools %}{{ ' ' + t.function.name }}{% endfor %}{% endif %}"
    "{% for m in messages %}{{ '<|' + m.role + '|> ' + m.content }}"
    "{% for c in m.tool_calls or [] %}<|call|> {{ c.function.name }}"
    "{% for k, v in c.function.arguments.items() %}{{ ' ' + k + ' ' + v | string }}{% endfor %}{% endfor %}"
    "{% if m.role == 'assistant' %}<|end|>{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|> {% endif %}"
)
TOOLS = [{"type": "function", "function": {"name": n, "parameters": {}}} for n in ("put", "note")]
Config = SupervisedFineTuning.Config


def tokenizer(template=TEMPLATE):
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    vocabulary = {word: i for i, word in enumerate([*SPECIAL, *WORDS])}
    raw = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    raw.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    made = PreTrainedTokenizerFast(
        tokenizer_object=raw, pad_token="<|pad|>", eos_token="<|end|>", unk_token="<unk>"
    )
    made.add_special_tokens({"additional_special_tokens": SPECIAL[1:-1]})
    made.chat_template = template
    return made


def model(kind):
    import torch
    from transformers import AutoModelForCausalLM, Lfm2Config, LlamaConfig

    torch.manual_seed(0)
    shared = {
        "vocab_size": len(SPECIAL) + len(WORDS),
        "hidden_size": 48,
        "intermediate_size": 64,
        "num_attention_heads": 2,
        "num_key_value_heads": 2,
        "tie_word_embeddings": True,
        "initializer_range": 0.2,
        "pad_token_id": 0,
        "bos_token_id": None,
        "eos_token_id": SPECIAL.index("<|end|>"),
    }
    layers = ["conv", "full_attention"]
    config = (
        Lfm2Config(
            **shared, layer_types=layers, num_hidden_layers=2, conv_L_cache=3, conv_bias=True
        )
        if kind == "lfm2"
        else LlamaConfig(**shared, num_hidden_layers=2)
    )
    return AutoModelForCausalLM.from_config(config)


@pytest.fixture(scope="module")
def bases(tmp_path_factory):
    made = {}
    for kind in ("lfm2", "llama"):
        made[kind] = tmp_path_factory.mktemp(kind)
        model(kind).save_pretrained(made[kind])
        tokenizer().save_pretrained(made[kind])
    return made


FACTS = {"put": {"a": "kolu", "b": "7"}, "note": {"c": "mara"}}


def row(index, tools=TOOLS):
    """A page that varies, one of two tasks, and what only training can tell."""
    name = ("put", "note")[index % 2]
    page = " ".join(f"button {'abcdefgh'[(index * k) % 8]}" for k in range(1, 2 + index % 5))
    call = {
        "id": "call00000",
        "type": "function",
        "function": {"name": name, "arguments": FACTS[name]},
    }
    return {
        "prompt": [
            {"role": "system", "content": "ok"},
            {"role": "user", "content": f"page {page} task {name}"},
        ],
        "completion": [{"role": "assistant", "content": "", "tool_calls": [call]}],
        "tools": tools,
    }


ROWS = RowSet.of([row(i) for i in range(96)], {})
QUICK = {
    "precision": "fp32",
    "max_steps": 45,
    "batch": 8,
    "lr": 2e-2,
    "device": "cpu",
    "seconds": 600.0,
}


def answer(base, adapter, asked):
    """What the base with the adapter says, and how it would have been trained."""
    import torch
    from peft import PeftModel

    from finetune.train._encode import encode
    from finetune.train._model import load, quiet

    with quiet():
        loaded, words = load(base, "cpu", "fp32")
        served = PeftModel.from_pretrained(loaded, adapter) if adapter else loaded
    served.eval()
    encoded = encode([asked], words, [words.eos_token_id], 512)
    start = encoded.labels[0].count(-100)
    ids = torch.tensor([encoded.ids[0][:start]])
    given = served.generate(
        ids, attention_mask=torch.ones_like(ids), max_new_tokens=12, do_sample=False
    )
    return words.decode(given[0, start:]), words.decode(encoded.ids[0][start:])


def weights(folder):
    from safetensors.torch import load_file

    return load_file(folder / "adapter_model.safetensors")


@pytest.mark.parametrize("kind", ["lfm2", "llama"])
def test_a_real_training_teaches_a_fact_and_leaves_the_base_alone(bases, tmp_path, kind):
    base, told = bases[kind], []
    before = (base / "model.safetensors").read_bytes()
    said, wanted = answer(base, None, row(1001))
    assert said != wanted
    trainer = SupervisedFineTuning(Config(**QUICK), progress=told.append)
    adapter = trainer.train(ROWS, base, None, tmp_path, seed=0)
    metrics = adapter.metrics

    for index in (1000, 1001):
        said, wanted = answer(base, adapter.path, row(index))
        assert said == wanted and wanted.endswith("<|end|>")
    losses = [loss for _, loss in metrics["losses"]]
    assert sum(losses[-5:]) / 5 < 0.1 < losses[0]
    assert metrics["loss_first"] == pytest.approx(losses[0], abs=1e-4)
    assert metrics["loss_last"] == pytest.approx(losses[-1], abs=1e-4)
    assert metrics["moved"]["adapter"] == metrics["moved"]["of"] > 0
    assert all(tensor.any() for name, tensor in weights(Path(adapter.path)).items())
    assert (base / "model.safetensors").read_bytes() == before
    assert adapter.base == base_hash(base) and adapter.dataset == ROWS.hash
    assert metrics["rows_used"] == 96 and metrics["rows_cut"] == metrics["rows_masked"] == 0
    assert len(metrics["losses"]) == metrics["steps"] == 45 == told[-1].step
    assert (Path(adapter.path) / "loss.png").read_bytes()[:4] == b"\x89PNG"
    with Store.open(tmp_path / "instar.db") as store:
        registry = Registry(tmp_path, store)
        assert registry.get(registry.record(adapter).name, base_hash(base)) == adapter
        assert registry.faults() == []


@pytest.mark.parametrize(
    ("surprise", "known", "rows", "share"),
    [
        ([0.1, 2.0, 0.2, 0.3, 0.4], 0.5, 8, 0.5),
        ([0.1, 2.0, 0.2, 0.3, 0.4], 0.8, 5, 0.8),
        ([2.0, 2.0, 0.2], 0.5, 3, 1 / 3),
        ([2.0, 3.0], 0.5, 2, 0.0),
        ([0.1, 0.2], 0.5, 2, 1.0),
        ([0.1, 2.0, 0.2, 0.3, 0.4], None, 5, 0.8),
    ],
)
def test_new_rows_are_repeated_until_known_ones_have_their_share(surprise, known, rows, share):
    mix = Mix.of(surprise, known)
    assert mix.rows == rows and mix.share == pytest.approx(share)
    drawn = mix.drawn([1] * len(surprise), batch=4, steps=50, seed=0)
    assert len(drawn) == 200 and set(drawn) == set(range(len(surprise)))
    assert sum(i in mix.old for i in drawn) / 200 == pytest.approx(share, abs=0.02)


def test_each_row_comes_as_often_as_the_next_and_every_few_steps_hold_all_lengths():
    lengths = [10 * i for i in range(40)]
    mix = Mix.of([2.0 if i % 4 == 0 else 0.0 for i in range(40)], 0.5)
    drawn = mix.drawn(lengths, batch=5, steps=24, seed=3)
    times = Counter(drawn)
    assert {times[i] for i in mix.new} == {6} and {times[i] for i in mix.old} == {2}
    for start in range(0, 120, 20):
        window = [lengths[i] for i in drawn[start : start + 20]]
        batches = sorted(sorted(window[k : k + 5]) for k in range(0, 20, 5))
        assert [x for rows in batches for x in rows] == sorted(window)
        assert min(window) < 100 and max(window) > 290
    assert drawn == mix.drawn(lengths, batch=5, steps=24, seed=3)
    assert drawn != mix.drawn(lengths, batch=5, steps=24, seed=4)


def test_the_base_is_surprised_by_what_it_would_not_have_said(bases, tmp_path):
    import torch

    from finetune.train._encode import encode
    from finetune.train._model import load

    net, words = load(bases["lfm2"], "cpu", "fp32")
    encoded = encode(ROWS.rows[:20], words, [words.eos_token_id], 512)
    found = surprises(net, encoded, 0, nullcontext())
    for ids, labels, nats in zip(encoded.ids, encoded.labels, found, strict=True):
        with torch.no_grad():
            said = net(torch.tensor([ids])).logits[0, :-1].log_softmax(-1)
        alone = max(-said[i, t] for i, t in enumerate(labels[1:]) if t != -100)
        assert nats == pytest.approx(float(alone), rel=1e-3)
    trained = SupervisedFineTuning(Config(**QUICK)).train(ROWS, bases["lfm2"], None, tmp_path, 0)
    assert trained.metrics["rows_new"] == trained.metrics["rows_a_pass"] == len(ROWS.rows)


def test_an_adapter_can_stop_on_the_way_to_the_trained_weights(bases, tmp_path):
    short = {**QUICK, "max_steps": 3}
    whole, half = (
        SupervisedFineTuning(Config(**short, interpolation=share))
        .train(ROWS, bases["llama"], None, tmp_path, seed=0)
        .path
        for share in (1.0, 0.5)
    )
    for name, tensor in weights(Path(half)).items():
        wanted = weights(Path(whole))[name] * (0.5 if "lora_B" in name else 1.0)
        assert tensor.equal(wanted)


def test_rows_beside_the_weights_are_trained_on_again(bases, tmp_path):
    base = shutil.copytree(bases["lfm2"], tmp_path / "base")
    write_replay(base, [{"prompt": f"word {i} ", "completion": "tag<|end|>"} for i in range(40)])
    quick = {**QUICK, "max_steps": 2}
    for replay, wanted in ((True, 40), (False, 0)):
        trainer = SupervisedFineTuning(Config(**quick, replay=replay))
        metrics = trainer.train(ROWS, base, None, tmp_path / "adapters", seed=0).metrics
        assert metrics["rows_replayed"] == wanted and metrics["rows_used"] == len(ROWS.rows)
        assert metrics["rows_a_pass"] == len(ROWS.rows) + wanted
    with (base / "replay.jsonl").open("a") as stream:
        stream.write('{"prompt": 3}\n')
    with pytest.raises(UserError, match=r"replay.jsonl, line 41: .*methods.sft.replay=false"):
        SupervisedFineTuning(Config(**quick)).train(ROWS, base, None, tmp_path / "adapters", 0)


@pytest.mark.parametrize(
    ("able", "wanted"),
    [({"avx512_bf16": True}, "bf16"), ({"amx_bf16": True}, "bf16"), ({}, "fp32")],
)
def test_a_processor_trains_in_bf16_where_it_multiplies_in_it(monkeypatch, able, wanted):
    import torch

    from finetune.train._model import placement

    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: able, raising=False)
    assert placement("cpu", "auto") == ("cpu", wanted)
    assert placement("cpu", "fp32") == ("cpu", "fp32")


def test_all_linear_layers_but_the_head_are_trained():
    assert linear_layers(model("lfm2")) == sorted(
        ["in_proj", "k_proj", "out_proj", "q_proj", "v_proj", "w1", "w2", "w3"]
    )
    assert "lm_head" not in linear_layers(model("llama"))


def test_the_same_seed_gives_the_same_adapter_and_a_parent_may_be_continued(bases, tmp_path):
    short = {**QUICK, "max_steps": 3}
    first, again, other = (
        SupervisedFineTuning(Config(**short)).train(ROWS, bases["llama"], None, tmp_path, seed=s)
        for s in (0, 0, 1)
    )
    assert again.name == first.name != other.name
    text = (Path(first.path) / "adapter_config.json").read_text()
    assert str(bases["llama"].parent) not in text

    further = SupervisedFineTuning(Config(**short, start="parent"))
    child = further.train(ROWS, bases["llama"], Path(first.path), tmp_path, seed=0)
    assert child.parent == first.name
    assert child.metrics["loss_first"] < first.metrics["loss_first"]
    assert not list(tmp_path.glob(".writing-*"))


def test_the_stop_token_is_learnt_and_nulls_never_reach_the_template():
    from finetune.train._encode import encode

    words = tokenizer()
    end = words.eos_token_id
    encoded = encode([row(0), row(1)], words, [end], 512)
    learnt = [words.decode([i for i in labels if i >= 0]) for labels in encoded.labels]
    assert learnt == ["<|call|> put a kolu b <unk> <|end|>", "<|call|> note c mara <|end|>"]

    without = tokenizer(TEMPLATE.replace("<|end|>", ""))
    assert [ids[-1] for ids in encode([row(0)], without, [end], 512).ids] == [end]
    trailing = tokenizer(TEMPLATE.replace("<|end|>", "<|end|> ok ok"))
    assert encode([row(0)], trailing, [end], 512).ids == encode([row(0)], words, [end], 512).ids


@pytest.mark.parametrize(("kind", "micro"), [("lfm2", None), ("llama", 2)])
def test_the_loss_of_padded_batches_is_that_of_the_rows_alone(bases, tmp_path, kind, micro):
    import torch

    from finetune.train._encode import encode
    from finetune.train._model import load

    net, words = load(bases[kind], "cpu", "fp32")
    weighed = [
        {**one, "weight": w} for one, w in zip(ROWS.rows[:5], (0.5, 2, 1, 0, 3), strict=True)
    ]
    rows = RowSet.of([*weighed, ROWS.rows[5]], {})
    encoded = encode(rows.rows, words, [words.eos_token_id], 512)
    assert encoded.weights == [0.5, 2, 1, 0, 3, 1]
    with torch.no_grad():
        total = sum(
            net(torch.tensor([ids]), labels=torch.tensor([labels])).loss
            * (len(ids) - labels.count(-100))
            * weight
            for ids, labels, weight in zip(
                encoded.ids, encoded.labels, encoded.weights, strict=True
            )
        )
    once = SupervisedFineTuning(Config(**{**QUICK, "batch": 6, "micro": micro, "max_steps": 1}))
    first = once.train(rows, bases[kind], None, tmp_path, seed=0).metrics["loss_first"]
    assert first == pytest.approx(total.item() / encoded.learnt, rel=1e-3)


@pytest.mark.parametrize("micro", [None, 2])
def test_rows_end_to_end_teach_what_filled_up_rows_teach(bases, tmp_path, micro):
    import torch

    settings = {**QUICK, "batch": 6, "micro": micro, "max_steps": 4}
    padded, packed = (
        SupervisedFineTuning(Config(**settings, packing=packing)).train(
            ROWS, bases["llama"], None, tmp_path, seed=0
        )
        for packing in (False, True)
    )
    assert packed.recipe["packing"] and packed.name != padded.name
    losses = [[loss for _, loss in one.metrics["losses"]] for one in (packed, padded)]
    assert losses[0] == pytest.approx(losses[1], rel=1e-3)
    moved = [weights(Path(one.path)) for one in (packed, padded)]
    for name, value in moved[0].items():
        torch.testing.assert_close(value, moved[1][name], rtol=0.02, atol=2e-3)


def test_rows_are_not_laid_end_to_end_where_they_would_touch(bases, tmp_path):
    packing = SupervisedFineTuning(Config(**QUICK, packing=True))
    with pytest.raises(UserError, match=r"layers of kind conv: leave out methods.sft.packing"):
        packing.train(ROWS, bases["lfm2"], None, tmp_path, seed=0)
    assert not list(tmp_path.iterdir())


def test_rows_that_cannot_be_learnt_are_counted_and_left_out():
    from finetune.train._encode import encode

    silent = {**row(0), "completion": [{"role": "assistant", "content": ""}]}
    words = tokenizer(TEMPLATE.replace("<|end|>", ""))
    encoded = encode([row(0), row(4), silent], words, [words.eos_token_id], 23)
    assert (len(encoded.ids), encoded.cut, encoded.masked) == (1, 1, 1)


def test_a_base_without_template_or_stop_token_is_refused():
    from finetune.train._encode import encode, stop_tokens

    words = tokenizer()
    words.chat_template = None
    with pytest.raises(UserError, match="chat template"):
        encode([row(0)], words, [1], 512)
    words.eos_token = None
    with pytest.raises(UserError, match="ends a turn"):
        stop_tokens(words, None)


def test_nothing_to_train_on_is_said_before_anything_is_loaded(tmp_path):
    empty = RowSet.of([], {"a": "score fail"})
    with pytest.raises(UserError, match="Nothing to train on: 1 x score fail"):
        SupervisedFineTuning().train(empty, tmp_path / "no", None, tmp_path / "out", seed=0)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("changes", "told"),
    [({"max_length": 8}, "Raise methods.sft.max_length"), ({"lr": 1e30}, "diverged")],
)
def test_what_cannot_be_trained_leaves_nothing_behind(bases, tmp_path, changes, told):
    trainer = SupervisedFineTuning(Config(**{**QUICK, "max_steps": 2, **changes}))
    with pytest.raises(UserError, match=told):
        trainer.train(ROWS, bases["llama"], None, tmp_path, seed=0)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_without_a_model_is_refused_in_a_line(tmp_path):
    with pytest.raises(UserError, match="No model that can be trained") as caught:
        SupervisedFineTuning().train(ROWS, tmp_path, None, tmp_path / "out", seed=0)
    assert "\n" not in str(caught.value)


def test_out_of_memory_says_what_to_lower():
    import torch

    from finetune.train._model import memory_advice

    with pytest.raises(UserError, match=r"methods\.sft\.micro=8"), memory_advice(16, 900):
        torch.empty(2**60, dtype=torch.uint8)
    with pytest.raises(RuntimeError, match="another"), memory_advice(16, 900):
        raise RuntimeError("another fault")


def test_a_batch_that_does_not_divide_is_refused():
    with pytest.raises(UserError, match="must divide"):
        SupervisedFineTuning(Config(batch=16, micro=5))


def test_the_plan_shrinks_to_the_time_and_the_rate_comes_down_with_it():
    clock = iter(range(0, 10_000))
    watch = Watch(100, 20.0, clock=lambda: next(clock))
    step = 1
    while not watch.stop_after(step):
        step += 1
    assert 15 <= step <= 20
    assert watch.rate(step - 1) < 0.3 and watch.rate(step // 2) > 0.5
    free = Watch(100, None, clock=lambda: 0.0)
    assert not free.stop_after(99) and free.planned == 100 and free.stop_after(100)


def test_a_base_that_moved_and_an_adapter_that_did_not_are_found_out():
    import torch

    from finetune.train._model import Weights

    net = torch.nn.Sequential(torch.nn.Linear(2, 2), torch.nn.Linear(2, 2))
    net[0].requires_grad_(False)
    before = Weights(net)
    with pytest.raises(UserError, match="moved nothing"):
        before.require_learnt(net)
    with torch.no_grad():
        net[1].bias += 1
        assert before.require_learnt(net) == {"adapter": 1, "of": 2, "base": 0}
        net[0].weight[0, 0] += 1e-6
    with pytest.raises(InstarError, match="changed the base"):
        before.require_learnt(net)


KILLED = """
import json, os, sys
from pathlib import Path
import peft, trl
from finetune.curate.base import RowSet
from finetune.train.sft import SupervisedFineTuning
base, rows, out = map(Path, sys.argv[1:4])
rows, statuses = RowSet.load(rows), {}
for point in ("train.step:2", "train.rename", ""):
    child = os.fork()
    if child == 0:
        os.environ["INSTAR_FAILPOINT"] = point
        trainer = SupervisedFineTuning(SupervisedFineTuning.Config(max_steps=2, batch=4, device="cpu"))
        trainer.train(rows, base, None, out, seed=0)
        os._exit(0)
    statuses[point] = os.waitpid(child, 0)[1]
print(json.dumps(statuses))
"""


def test_a_training_that_is_killed_leaves_nothing_that_is_served(bases, tmp_path):
    rows = RowSet.of(ROWS.rows[:16], {}).save(tmp_path / "rows")
    command = [sys.executable, "-c", KILLED, bases["llama"], rows, tmp_path / "adapters"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=200)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout.splitlines()[-1]) == {"train.step:2": 9, "train.rename": 9, "": 0}
    with Store.open(tmp_path / "instar.db") as store:
        faults = Registry(tmp_path / "adapters", store).faults()
    # What the two that were killed left went when the third began to write.
    assert [f.why.split(":")[0] for f in faults] == ["whole, but not recorded"]


def test_it_fulfils_the_contract():
    assert isinstance(SupervisedFineTuning(), Contract)
