"""The timing scripts: who plays when, and what is made of the seconds. Speed itself is not tested."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from benchmarks.perf import lora, miniwob, qwen_shaped, serving
from finetune.curate.base import RowSet
from instar._toolparse import parse_reply
from instar.cli import app
from instar.errors import EpisodeFault

# A rival's interpreter that ignores the script it is given and answers at once.
TINY = """\
import json, sys
for line in sys.stdin:
    asked = json.loads(line)
    print(json.dumps({"seconds": 1 + asked["seed"], "passed": asked["seed"] < 2}), flush=True)
"""


async def test_players_take_turns_in_a_changing_order() -> None:
    played: list[tuple[str, str, int]] = []

    def player(who: str, seconds: float) -> miniwob.Play:
        async def play(name: str, seed: int) -> float | None:
            played.append((who, name, seed))
            return seconds + seed

        return play

    players = {who: player(who, n) for n, who in enumerate(("ours", "default", "tuned"))}
    taken = await miniwob.alternate(players, 2)
    rounds = [played[i : i + 3] for i in range(0, len(played), 3)]
    assert [r[0][1:] for r in rounds] == [(n, seed) for seed in range(3) for n in miniwob.STEPS]
    for one in rounds:
        assert {who for who, _, _ in one} == set(players) and len({x[1:] for x in one}) == 1
    assert {tuple(who for who, _, _ in one) for one in rounds} > {("default", "tuned", "ours")}
    # The first round, seed 0, warms up.
    assert taken["default"] == {name: [2, 3] for name in miniwob.STEPS}


async def test_a_turn_that_one_fails_counts_for_none() -> None:
    async def always(name: str, seed: int) -> float | None:
        return 1.0

    async def once(name: str, seed: int) -> float | None:
        return None if (name, seed) == ("click-test", 2) else 5.0

    taken = await miniwob.alternate({"ours": always, "default": once, "tuned": always}, 3)
    assert {len(s["click-test"]) for s in taken.values()} == {2}
    assert {len(s["login-user"]) for s in taken.values()} == {3}


def test_ratios_are_medians_of_pairs() -> None:
    seconds = {"ours": [1.0, 2.0, 9.0], "default": [12.0, 22.0, 9.0], "tuned": [4.0, 10.0, 45.0]}
    taken = {who: {name: list(s) for name in miniwob.STEPS} for who, s in seconds.items()}
    first, *_, last, turns, wanted = miniwob.table(taken).splitlines()[1:]
    assert first.split() == ["click-test", "2000ms", "12000ms", "10000ms", "11.0", "5.0"]
    assert (
        last.split() == ["all", "11.0", "5.0"]
        and turns == "turns: 12"
        and ">= 10" in wanted
        and ">= 4" in wanted
    )


@pytest.mark.browser
async def test_a_rival_may_fail_but_not_end(tmp_path: Path) -> None:
    pytest.importorskip("miniwob")
    python = tmp_path / "python"
    python.write_text(f"#!{sys.executable} -E\n{TINY}")
    python.chmod(0o755)
    rival = miniwob.Rival(str(python), "tuned")
    assert await rival.play("click-test", 1) == 2
    assert await rival.play("click-test", 2) is None
    rival._process.kill()
    with pytest.raises(EpisodeFault, match="tuned"):
        await rival.play("click-test", 1)
    rival.close()


@pytest.mark.browser
@pytest.mark.asyncio(loop_scope="function")
async def test_our_script_solves_its_tasks() -> None:
    import asyncio

    pytest.importorskip("miniwob")
    ours = await asyncio.to_thread(miniwob.Ours)
    for name in miniwob.STEPS:
        assert 0 < (await ours.play(name, 0) or 0) < 60
    await ours.close()


def test_without_the_rival_it_says_what_to_set(capsys: Any, monkeypatch: Any) -> None:
    monkeypatch.setattr(sys, "argv", ["miniwob"])
    monkeypatch.delenv("INSTAR_BROWSERGYM_PYTHON", raising=False)
    assert miniwob.main() == 1
    assert "INSTAR_BROWSERGYM_PYTHON" in capsys.readouterr().err


def test_steps_are_json_for_the_rival() -> None:
    assert json.loads(json.dumps(miniwob.STEPS)) == miniwob.STEPS


async def test_serving_is_compared_round_by_round() -> None:
    played: list[str] = []

    def server(name: str, seconds: list[float], said: list[tuple[Any, ...]]) -> serving.Serve:
        async def serve(asked: Any) -> serving.Served:
            played.append(name)
            return serving.Served(seconds.pop(0), 100, said)

        return serve

    servers = {
        "ours": server("ours", [99.0, 1.0, 2.0, 4.0], [("a",), ("b",)]),
        "alone": server("alone", [1.0, 5.0, 6.0, 40.0], [("a",), ("c",)]),
    }
    asked = [serving.Asked((), ())] * 2
    found = await serving.compare(servers, asked, 3)
    assert played[:4] == ["alone", "ours", "ours", "alone"]
    assert found == {
        "requests": 2,
        "ours_tokens_per_s": 50.0,
        "alone_tokens_per_s": 100 / 6,
        "ours/alone": 5.0,
        "same_as_alone": 0.5,
    }


async def test_rivals_give_the_same_answers() -> None:
    found = await serving.measure(episodes=1, at_once=2, rounds=1)
    assert found["requests"] >= 1
    assert found["same_as_one_by_one"] == found["same_as_padded"] == 1


@pytest.fixture(scope="module")
def shaped(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    made = {kind: tmp_path_factory.mktemp(kind) for kind in qwen_shaped.KINDS}
    for kind, folder in made.items():
        assert qwen_shaped.make(folder, kind) > 10_000
    return made


@pytest.mark.parametrize("kind", qwen_shaped.KINDS)
def test_a_shaped_folder_writes_calls_that_are_read_again(
    shaped: dict[str, Path], kind: str
) -> None:
    from transformers import AutoConfig, AutoTokenizer

    assert AutoConfig.from_pretrained(shaped[kind]).model_type == kind
    tokenizer = AutoTokenizer.from_pretrained(shaped[kind])
    row = lora.draw(shaped[kind], 1, 512).rows[0]
    begun = tokenizer.apply_chat_template(
        row["prompt"], tools=row["tools"], add_generation_prompt=True, tokenize=False
    )
    whole = tokenizer.apply_chat_template(
        row["prompt"] + row["completion"], tools=row["tools"], tokenize=False
    )
    assert whole.startswith(begun) and begun.count('"type": "function"') == 2
    assert tokenizer.decode(tokenizer(whole)["input_ids"]) == whole
    (wanted,) = row["completion"][0]["tool_calls"]
    _, (call,) = parse_reply(whole[len(begun) :].strip(), ())
    assert {"name": call.name, "arguments": call.arguments} == wanted["function"]


def test_an_evolution_runs_through_with_a_shaped_folder(
    shaped: dict[str, Path], tmp_path: Path
) -> None:
    few = ["practise.tasks=4", "gate.tasks=4", "report.tasks=4", "practise.web_share=0"]
    few += ["agent.max_steps=2", "model.max_tokens=12"]
    options = [part for setting in few for part in ("-o", setting)]
    folder = ["--workspace", str(tmp_path / "w"), "--model", f"local/{shaped['qwen3']}"]
    told = CliRunner().invoke(app, ["evolve", "--generations", "1", "--json", *folder, *options])
    assert told.exit_code == 0, told.output
    found = json.loads(told.stdout.splitlines()[-1])
    base = found["summary"]["arms"]["base"]
    assert base["n"] == 4 and base["unknown"] == 0 and base["calls"] >= 1


def test_trainings_take_turns_after_a_short_one(shaped: dict[str, Path]) -> None:
    trained: list[tuple[str, int]] = []

    def trainer(name: str, seconds: list[float]) -> lora.Train:
        def train(setup: lora.Setup, rows: RowSet, out: Path) -> lora.Trained:
            trained.append((name, len(rows.rows)))
            return lora.Trained(seconds.pop(0), 0.5, 3, 0.1, 10, None)

        return train

    trainers = {"ours": trainer("ours", [9.0, 1.0, 2.0]), "plain": trainer("plain", [9, 4.0, 4.0])}
    found = lora.measure(lora.Setup(shaped["qwen2"]), 12, 2, trainers)
    turns = [("plain", 8), ("ours", 8), ("ours", 12), ("plain", 12), ("plain", 12), ("ours", 12)]
    assert trained == turns
    assert found["plain/ours"] == 3 and found["ours"]["seconds"] == 1.5 and found["base_unchanged"]


def test_both_train_the_same_adapter(shaped: dict[str, Path]) -> None:
    setup = lora.Setup(shaped["qwen2"], precision="fp32", batch=2)
    found = lora.measure(setup, count=4, rounds=1)
    ours, plain = found["ours"], found["plain"]
    assert found["base_unchanged"] and found["plain/ours"] > 0
    assert ours["size"] == plain["size"] > 1_000 and ours["steps"] == plain["steps"] == 2
    assert ours["loss"] == pytest.approx(plain["loss"], abs=0.2)
