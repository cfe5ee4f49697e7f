"""Pocket's parts: tokenizer, generated rows, structured start, pre-training."""

import json
import random
import re
from dataclasses import replace
from math import ceil

import pytest

from benchmarks.worlds.house_rules import HouseRules
from benchmarks.worlds.library_desk import LibraryDesk
from finetune.pocket import MODEL_DIR
from finetune.pocket._run import Recipe, Run
from finetune.pocket.batches import Stream
from finetune.pocket.compare import VARIANTS, compare, variant
from finetune.pocket.exam import SKILLS, exam_questions
from finetune.pocket.pages import WEB_TOOLS
from finetune.pocket.pretrain import pretrain
from finetune.pocket.reflections import REFLECT
from finetune.pocket.replay import replay_rows
from finetune.pocket.rows import Mixture, draw_row
from finetune.pocket.start import build_model
from finetune.pocket.tokenizer import build_tokenizer
from finetune.pocket.words import is_held_out, pseudo_word
from instar import render
from instar._toolparse import parse_reply
from instar.errors import UserError
from instar.types import (
    MemoryKind,
    Prompts,
    Recalled,
    Result,
    Split,
    Step,
    Task,
    ToolSpec,
)


@pytest.fixture(scope="module")
def tokenizer():
    return build_tokenizer()


@pytest.mark.parametrize(
    "text",
    [
        'button "Save order" e12\ntextbox "tag text" e5 = "x"',
        'task: please refund order 417. [m2] -> tag $1 "red"; refund $1; finish',
        "PO-48 a_b jo.s@x.org $12 e7 m1 100 é 日本",
        'alert: locked: tag "red" first',
    ],
)
def test_tokenizer_gives_the_text_back(tokenizer, text):
    assert tokenizer.decode(tokenizer(text, add_special_tokens=False).input_ids) == text


def test_a_word_is_the_same_tokens_wherever_it_stands(tokenizer):
    def ids(text):
        return tokenizer(text, add_special_tokens=False).input_ids

    alone = ids("kolupa")
    for text in ('button "kolupa" e3', "press kolupa now", "(kolupa)", "a: kolupa; b"):
        whole = ids(text)
        assert any(whole[i : i + len(alone)] == alone for i in range(len(whole)))


def test_references_slots_and_labels_are_single_tokens(tokenizer):
    for text in ("e0", "e99", "$1", "m3"):
        assert len(tokenizer(text, add_special_tokens=False).input_ids) == 1


def test_template_marks_what_the_assistant_said_and_its_stop_token(tokenizer):
    call = {
        "type": "function",
        "function": {"name": "tag", "arguments": {"r": "417", "t": 'a "b"'}},
    }
    messages = [
        {"role": "user", "content": "task: x"},
        {"role": "assistant", "content": "", "tool_calls": [call]},
    ]
    schema = {"type": "object", "properties": {"r": {}, "s": {}, "t": {}}, "required": ["r"]}
    tools = [{"type": "function", "function": {"name": "tag", "parameters": schema}}]
    out = tokenizer.apply_chat_template(
        messages, tools=tools, return_dict=True, return_assistant_tokens_mask=True, tokenize=True
    )
    said = [t for t, m in zip(out["input_ids"], out["assistant_masks"], strict=True) if m]
    assert tokenizer.decode(said) == '<|call|>tag "417" - "a \\"b\\""<|end|>'


def test_held_out_words_are_never_in_training_rows():
    rng = random.Random(0)
    held = {pseudo_word(rng, True) for _ in range(300)}
    assert all(is_held_out(w) for w in held)
    assert not any(is_held_out(pseudo_word(rng, False)) for _ in range(300))


def _specs(lines):
    specs = []
    for line in lines:
        name, *names = line.split()
        properties = {n.rstrip("?"): {"type": "string"} for n in names}
        required = [n for n in names if not n.endswith("?")]
        schema = {"type": "object", "properties": properties, "required": required}
        volatile = ("ref",) if line in WEB_TOOLS else ()
        specs.append(ToolSpec(name=name, parameters=schema, volatile=volatile))
    return specs


def _memories(system):
    found = re.findall(r"^task: (.*?) \[(m\d)\] -> (.*)$", system, re.M)
    return [
        Recalled(
            label=label, item="i", version=1, title="", when=when, content=content,
            kind=MemoryKind.LESSON,
        )
        for when, label, content in found
    ]  # fmt: skip


def _steps(done, specs):
    steps = []
    plain = [s.model_copy(update={"parameters": _without(s), "volatile": ()}) for s in specs]
    for line in done:
        call, said = line.split(" -> ", 1)
        _, calls = parse_reply(f"<|call|>{call}", plain)
        steps.append(Step(observation="", calls=calls, results=(Result(text=said),)))
    return steps


def _without(spec):
    kept = {k: v for k, v in spec.parameters["properties"].items() if k not in spec.volatile}
    return {**spec.parameters, "properties": kept}


def test_rows_are_what_render_and_the_template_would_serve(tokenizer):
    """Parse generated prompts into records, render the records, and get the same text."""
    rng = random.Random(7)
    prompts = Prompts(name="compact", system="act with one call")
    seen = set()
    for _ in range(150):
        row = draw_row(rng, False, 3)
        if row.queries[0].skill == "reflect":
            assert row.prefix.startswith(f"<|system|>{REFLECT}<|user|>")
            continue
        tool_part, system = row.prefix.removeprefix("<|tools|>").split("<|system|>")
        system, *page = system.split("<|user|>")
        specs = _specs(tool_part.split("\n"))
        for query in row.queries:
            asked = query.body.removeprefix("<|user|>") if not page else page[0] + query.body
            before, task = f"\n{asked}".rsplit("\ntask: ", 1)
            observation, _, done = f"\n{before.strip()}".partition("\ndone:\n")
            steps = _steps(done.split("\n") if done else [], specs)
            record = Task(id="t", instruction=task, world="w", namespace="n", group="g", family="f")
            messages = render.messages(
                prompts, _memories(system), record, steps, observation.strip(), specs
            )
            text = tokenizer.apply_chat_template(
                messages,
                tools=[s.schema_openai() for s in specs],
                tokenize=False,
                add_generation_prompt=True,
            )
            assert text == row.prefix + query.body + "<|assistant|>"
            seen.add(query.skill)
    assert seen == set(SKILLS) - {"reflect"}


@pytest.mark.parametrize("world", [HouseRules(house=7), LibraryDesk(house=7)], ids=lambda w: w.id)
async def test_all_tools_of_an_office_are_a_line_each_and_short(tokenizer, world):
    task = next(t for t in world.tasks(Split.PRACTISE, 20, 0) if t.params["door"] == "tools")
    episode = await world.open(task, 0)
    specs = episode.toolset.tools()
    shown, bare = (
        tokenizer.apply_chat_template([{"role": "user", "content": "x"}], tools=t, tokenize=False)
        for t in ([s.schema_openai() for s in specs], None)
    )
    await episode.close()
    lines = shown.removesuffix(bare).removeprefix("<|tools|>").split("\n")
    assert [line.split()[0] for line in lines] == [s.name for s in specs]
    assert len(tokenizer.encode(shown)) - len(tokenizer.encode(bare)) <= 250


def test_answers_parse_into_calls_of_the_tools_at_hand():
    rng = random.Random(3)
    for _ in range(100):
        row = draw_row(rng, False, 3)
        if row.queries[0].skill == "reflect":
            assert all(
                re.fullmatch("title: .+\nwhen: .+\ncontent: .+", q.answer) for q in row.queries
            )
            continue
        lines = row.prefix.removeprefix("<|tools|>").split("<|system|>")[0].split("\n")
        specs = _specs(lines)
        for query in row.queries:
            content, calls = parse_reply(query.answer + "<|end|>", specs)
            assert len(calls) == 1
            assert calls[0].name in {s.name for s in specs}
            followed = query.skill.endswith(("/lesson", "/workflow"))
            assert (render.split_citation(content)[2] is not None) == followed


def test_memory_and_recital_can_be_left_out():
    rng = random.Random(5)
    rows = [draw_row(rng, False, 3, mixture=Mixture(memory=False)) for _ in range(60)]
    assert not any("<memory>" in row.prefix for row in rows)
    rows = [draw_row(rng, False, 3, mixture=Mixture(recital=False)) for _ in range(60)]
    answers = [q.answer for row in rows for q in row.queries if q.skill != "reflect"]
    assert all(a.startswith("<|call|>") for a in answers)


def test_simple_rows_are_short_and_need_no_memory():
    rng = random.Random(5)
    rows = [draw_row(rng, False, 3, mixture=Mixture(simple=True)) for _ in range(60)]
    assert {q.skill for row in rows for q in row.queries} >= {"pick", "copy", "tools/habit"}
    assert not any("<memory>" in row.prefix for row in rows)


def test_the_exam_asks_the_same_number_of_every_skill():
    asked = [skill for skill, _, _ in exam_questions(0, 2)]
    assert sorted(asked) == sorted([*SKILLS, *SKILLS])
    bare = [skill for skill, _, _ in exam_questions(0, 1, Mixture(memory=False))]
    assert "tools/habit" in bare and "tools/lesson" not in bare


def test_a_query_sees_its_prefix_and_itself_only(tokenizer):
    stream = Stream(tokenizer, seed=0, rows=2, length=400)
    batch = stream.batch(5)
    assert (stream.batch(5).inputs == batch.inputs).all()
    end = tokenizer.convert_tokens_to_ids("<|end|>")
    ends = (batch.inputs[0] == end).nonzero().flatten().tolist()
    assert len(ends) >= 2
    second = ends[0] + 2
    first_answer = ends[0]
    assert not batch.seen[0, second, first_answer]
    assert batch.seen[0, second, 0]
    assert batch.counts.any() and not batch.counts.all()


def test_the_rows_that_ship_are_of_the_kind_that_pocket_was_made_from(tokenizer):
    shipped = [json.loads(line) for line in (MODEL_DIR / "replay.jsonl").read_text().splitlines()]
    assert shipped == replay_rows(0, len(shipped)) and len(shipped) >= 200
    assert sum("<memory>" in row["prompt"] for row in shipped) >= 0.45 * len(shipped)
    followed = [row for row in shipped if row["completion"].startswith("task: ")]
    assert any(" -> " in row["completion"] for row in followed)
    for row in shipped:
        assert row["prompt"].endswith("<|assistant|>") and row["completion"].endswith("<|end|>")


def test_structured_start_looks_at_what_followed_the_same_words(tokenizer):
    """Untrained, an attention head of the wiring points at the right reference."""
    import torch

    model = build_model(len(tokenizer), seed=0).eval()
    model.set_attn_implementation("eager")
    rng = random.Random(1)
    found = 0
    for _ in range(20):
        names = [pseudo_word(rng, False) for _ in range(6)]
        numbers = rng.sample(range(100), 6)
        lines = [f'button "{n}" e{i}' for n, i in zip(names, numbers, strict=True)]
        text = "\n".join(lines) + f'\nclick "{names[2]}" '
        ids = tokenizer(text, add_special_tokens=False, return_tensors="pt").input_ids
        wanted = ids[0].tolist().index(tokenizer.convert_tokens_to_ids(f"▁e{numbers[2]}"))
        with torch.no_grad():
            attention = model(input_ids=ids, output_attentions=True).attentions
        heads = [a[0, :, -1].argmax(-1).tolist() for a in attention if a is not None]
        found += any(wanted in h for h in heads)
    assert found >= 18


_TINY = Recipe(
    tokens=6_000, width=32, layers=2, rows=2, length=300, compile=False, simple=600,
    checkpoint_seconds=0.0, exam_seconds=1e9, exam_each=1, final_each=1,
)  # fmt: skip


def test_pretraining_ships_a_stock_model(tmp_path):
    from transformers import AutoModelForCausalLM, AutoTokenizer

    final = pretrain(_TINY, tmp_path, lambda figures: None)
    assert final["tokens"] >= 6_000
    report = json.loads((tmp_path / "training.json").read_text())
    assert report["recipe"]["tokens"] == 6_000
    assert (tmp_path / "curves.png").read_bytes().startswith(b"\x89PNG")
    assert len((tmp_path / "replay.jsonl").read_text().splitlines()) >= 200
    model = AutoModelForCausalLM.from_pretrained(tmp_path)
    tokenizer = AutoTokenizer.from_pretrained(tmp_path)
    prompt = tokenizer.apply_chat_template(
        [{"role": "user", "content": "task: x"}], add_generation_prompt=True, return_tensors="pt",
        return_dict=True,
    )  # fmt: skip
    assert model.generate(**prompt, max_new_tokens=4).shape[1] > prompt["input_ids"].shape[1]


def test_an_interrupted_pretraining_goes_on_as_if_it_had_not_been(tmp_path):
    import torch

    straight = Run(_TINY)
    for _ in range(4):
        straight.train_step()
    halted = Run(_TINY)
    for _ in range(2):
        halted.train_step()
    halted.history.append({"step": 2})
    halted.save(tmp_path / "checkpoint.pt")
    resumed = Run(_TINY)
    assert resumed.resume(tmp_path / "checkpoint.pt")
    assert resumed.history == [{"step": 2}]
    for _ in range(2):
        resumed.train_step()
    pairs = zip(straight.model.parameters(), resumed.model.parameters(), strict=True)
    assert all(torch.allclose(a, b, atol=1e-5) for a, b in pairs)
    other = Run(replace(_TINY, tokens=20_000))
    assert not other.resume(tmp_path / "checkpoint.pt")


def test_simple_rows_come_first(tokenizer):
    stream = Stream(tokenizer, seed=0, rows=2, length=400, simple=801)
    opening = tokenizer.convert_tokens_to_ids("▁memory")
    assert not any((stream.batch(i).inputs == opening).any() for i in range(2))
    assert any((stream.batch(i).inputs == opening).any() for i in range(2, 12))


def test_variants_are_trained_and_compared(tmp_path):
    assert all(variant(name, _TINY) != _TINY for name in VARIANTS if name != "pocket")
    with pytest.raises(ValueError, match="pocket, llama"):
        variant("nothing", _TINY)
    said = []
    names = ["pocket", "llama", "without memory"]
    compare(names, [0], 0.002, tmp_path, lambda name, _: said.append(name), _TINY)
    assert said == [f"{name}, seed 0" for name in names]
    table = compare(names, [0], 0.002, tmp_path, lambda name, _: said.append(name), _TINY)
    assert len(said) == len(names), "what is finished is read"
    assert json.loads((tmp_path / "compare.json").read_text()) == table
    assert set(table["variants"]["pocket"]["exam"]) == set(SKILLS)


def test_the_lengths_of_a_comparison_are_those_of_its_first_start(tmp_path):
    (tmp_path / "speeds.json").write_text('{"pocket": 100.0, "llama": 200.0}')
    table = compare(["pocket", "llama"], [0, 1], 0.05, tmp_path, lambda *_: None, _TINY)
    seen = {name: row["tokens"] for name, row in table["variants"].items()}
    step = _TINY.rows * _TINY.length
    assert seen == {"pocket": [step * ceil(300 / step)] * 2, "llama": [step * ceil(600 / step)] * 2}
    with pytest.raises(UserError, match=r"600 tokens, and these minutes are 1,200"):
        compare(["llama"], [0], 0.1, tmp_path, lambda *_: None, _TINY)


def test_shifted_convolutions_compute_the_same(tokenizer):
    import torch

    from finetune._convolution import shift_convolutions

    model = build_model(300, width=32, layers=2, seed=0)
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if "conv.conv" in name:
                weight.normal_(generator=torch.Generator().manual_seed(1))
    ids = torch.randint(0, 300, (2, 30), generator=torch.Generator().manual_seed(2))
    before = model(input_ids=ids, use_cache=False).logits
    before.sum().backward()
    gradient = model.model.layers[0].conv.conv.weight.grad.clone()
    model.zero_grad()
    shift_convolutions(model)
    after = model(input_ids=ids, use_cache=False).logits
    after.sum().backward()
    assert torch.allclose(before, after, atol=1e-5)
    assert not torch.equal(before, after)
    assert torch.allclose(gradient, model.model.layers[0].conv.conv.weight.grad, atol=1e-4)
