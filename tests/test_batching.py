"""Rows that are answered together: the same tokens as alone, whoever comes and goes."""

import asyncio

import pytest

from finetune.pocket.start import build_model
from finetune.pocket.tokenizer import build_tokenizer
from instar import _prefixes
from instar._batching import ROWS, Batch
from instar._decoding import Request
from instar._prefixes import Prefixes
from instar._slots import Slots
from instar.llm_local import LocalEngine
from instar.types import Sampling

VOCABULARY = 1408
SHAPES = ("lfm2", "llama", "mistral", "window")


@pytest.fixture(scope="module")
def models():
    import torch
    from transformers import AutoModelForCausalLM, LlamaConfig, MistralConfig

    shape = {
        "vocab_size": VOCABULARY,
        "hidden_size": 32,
        "intermediate_size": 64,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
    }
    torch.manual_seed(1)
    made = {
        "lfm2": build_model(VOCABULARY, width=32, layers=4, seed=1),
        "llama": AutoModelForCausalLM.from_config(LlamaConfig(**shape)),
        "mistral": AutoModelForCausalLM.from_config(MistralConfig(**shape, sliding_window=None)),
        "window": AutoModelForCausalLM.from_config(MistralConfig(**shape, sliding_window=8)),
    }
    return {name: model.eval() for name, model in made.items()}


def drawn(*lengths):
    import torch

    rng = torch.Generator().manual_seed(sum(lengths))
    return [torch.randint(8, VOCABULARY, (n,), generator=rng).tolist() for n in lengths]


def asked(ids, most=16, **sampling):
    future = asyncio.get_running_loop().create_future()
    return Request(list(ids), (), Sampling(max_tokens=most, **sampling), None, future)


def batch_of(model, stops=(), limit=None, prefixes=None):
    return Batch(model, stops, 0, limit, prefixes or Prefixes())


def finish(batch):
    """Steps until nobody is left; the tokens of each request by the first token of its prompt."""
    said = {}
    while batch.rows:
        for row in batch.sweep():
            said[tuple(row.request.ids)] = row.new
        if batch.rows:
            batch.step()
    return said


def generated(model, ids, most=16):
    """What transformers itself says."""
    import torch

    model.generation_config.eos_token_id = None
    out = model.generate(torch.tensor([ids]), max_new_tokens=most, do_sample=False, pad_token_id=0)
    return out[0, len(ids) :].tolist()


@pytest.mark.parametrize("shape", SHAPES)
async def test_rows_of_all_lengths_say_what_transformers_says_of_each_alone(models, shape):
    model = models[shape]
    prompts = drawn(3, 40, 17, 9, 300, 1)
    batch = batch_of(model)
    batch.admit([asked(ids) for ids in prompts])
    assert finish(batch) == {tuple(ids): generated(model, ids) for ids in prompts}


@pytest.mark.parametrize("shape", ["lfm2", "llama"])
async def test_rows_join_and_leave_while_others_are_being_answered(models, shape):
    model = models[shape]
    prompts = drawn(12, 250, 7, 30, 21)
    lengths = [5, 40, 11, 23, 2]
    batch = batch_of(model)
    said = {}
    for ids, most in zip(prompts, lengths, strict=True):
        batch.admit([asked(ids, most)])
        for _ in range(3):
            said |= {tuple(row.request.ids): row.new for row in batch.sweep()}
            if batch.rows:
                batch.step()
    said |= finish(batch)
    wanted = zip(prompts, lengths, strict=True)
    assert said == {tuple(ids): generated(model, ids, most) for ids, most in wanted}


async def test_a_row_leaves_when_nobody_waits_for_its_answer_any_more(models):
    batch = batch_of(models["llama"])
    requests = [asked(ids) for ids in drawn(5, 6, 7)]
    batch.admit(requests)
    requests[1].answer.cancel()
    assert [row.request for row in batch.sweep()] == [requests[1]]
    left = finish(batch)
    assert left == {tuple(r.ids): generated(models["llama"], r.ids) for r in requests[::2]}


async def test_a_row_ends_at_a_stop_token_at_its_own_limit_and_at_that_of_the_model(models):
    model = models["llama"]
    ids = drawn(10)[0]
    free = generated(model, ids, 30)
    stop = next(t for i, t in enumerate(free) if i > 3 and t not in free[:i])
    for most, stops, limit, wanted in (
        (30, [stop], None, free[: free.index(stop) + 1]),
        (7, [], None, free[:7]),
        (30, [], 15, free[:5]),
    ):
        batch = batch_of(model, stops, limit)
        batch.admit([asked(ids, most)])
        assert finish(batch)[tuple(ids)] == wanted


async def test_only_a_cache_with_a_window_keeps_newcomers_waiting(models):
    for shape in SHAPES:
        batch = batch_of(models[shape])
        assert batch.room == ROWS
        batch.admit([asked(drawn(5)[0])])
        assert batch.room == (0 if shape == "window" else ROWS - 1)
        assert Slots.fit(models[shape].config) == (shape != "window")
        batch.step()
        assert len(batch.rows[0].new) == 2


@pytest.mark.parametrize("shape", ["lfm2", "llama"])
async def test_a_beginning_that_was_read_twice_is_not_read_again(models, shape, monkeypatch):
    model = models[shape]
    head, *tails = drawn(100, 9, 12, 20)
    prompts = [head + tail for tail in tails] + [head + tails[2]]
    read = []
    plain = Batch._read
    monkeypatch.setattr(
        Batch, "_read", lambda self, ids, cache: (read.append(len(ids)), plain(self, ids, cache))[1]
    )
    prefixes = Prefixes()
    for ids in prompts:
        batch = batch_of(model, prefixes=prefixes)
        batch.admit([asked(ids)])
        assert finish(batch) == {tuple(ids): generated(model, ids)}
    # Whole; up to where the two part and the rest; the rest alone; the last a second time.
    assert read == [109, 100, 12, 20, 20]
    again = batch_of(model, prefixes=prefixes)
    again.admit([asked(prompts[1]), asked(prompts[0])])
    assert finish(again) == {tuple(ids): generated(model, ids) for ids in prompts[:2]}


async def test_beginnings_are_thrown_away_before_they_fill_the_memory(models, monkeypatch):
    model = models["llama"]
    monkeypatch.setattr(_prefixes, "_BYTES", 40_000)
    prefixes = Prefixes()
    batch = batch_of(model, prefixes=prefixes)
    for head, tail in zip(drawn(90, 91, 92, 93), drawn(5, 6, 7, 8), strict=True):
        batch.admit([asked([*head, 9], 1), asked(head + tail, 1)])
        assert 0 < sum(map(_prefixes._size, prefixes._caches.values())) <= 40_000
        assert len(finish(batch)) == 2
    assert len(prefixes._caches) == 1
    monkeypatch.setattr(_prefixes, "_BYTES", 1)
    batch.admit([asked(drawn(70)[0] + [i], 1) for i in range(8, 10)])
    assert len(finish(batch)) == 2 and not prefixes._caches


async def test_adapters_take_turns_and_none_waits_for_the_end_of_another(tmp_path, monkeypatch):
    words = build_tokenizer()
    build_model(len(words), width=32, layers=2, seed=1).save_pretrained(tmp_path)
    words.save_pretrained(tmp_path)
    engine = LocalEngine(tmp_path)
    steps = []
    monkeypatch.setattr(engine, "_serving", lambda adapter: _noted(engine, steps, adapter))
    one, two = engine.client(), engine.client(tmp_path / "other")

    def ask(client, most, seed):
        sampling = Sampling(max_tokens=most, seed=seed, temperature=1.0)
        return client.complete([{"role": "user", "content": f"word {seed}"}], [], sampling)

    long = [ask(one, 60, seed) for seed in range(4)]
    short = [ask(two, 4, seed) for seed in range(4)]
    done = []
    tasks = [
        asyncio.create_task(_named(name, c))
        for name, c in [*(("a", one) for one in long), *(("b", one) for one in short)]
    ]
    for task in asyncio.as_completed(tasks):
        done.append(await task)
    await engine.close()
    assert done.index("b") < 4 and set(steps) == {None, tmp_path / "other"}


async def _named(name, work):
    await work
    return name


def _noted(engine, steps, adapter):
    from contextlib import nullcontext

    steps.append(adapter)
    return engine._model, nullcontext()
