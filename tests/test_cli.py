"""The command line: one JSON object on stdout, mistakes in one line, help without heavy imports."""

import json
import subprocess
import sys

import pytest
from episodes import task, trajectory

from instar import cli
from instar._lock import exclusive
from instar.config import keys
from instar.store import Store
from instar.types import (
    Generation,
    GenerationStatus,
    MemoryItem,
    MemoryKind,
    MemoryOp,
    OpKind,
    Status,
)


@pytest.fixture
def instar(capsys, tmp_path, monkeypatch):
    """Run a command in a workspace; exit code, stdout, stderr."""
    monkeypatch.setenv("INSTAR_WORKSPACE", str(tmp_path / "ws"))

    def run(*arguments: str):
        with pytest.raises(SystemExit) as exited:
            cli.main(list(arguments))
        out, err = capsys.readouterr()
        return exited.value.code, out, err

    return run


@pytest.fixture
def filled(instar, tmp_path):
    """A workspace with two generations and a memory."""
    instar("init")
    with Store.open(tmp_path / "ws" / "instar.db") as store:
        for seq, (id, parent) in enumerate([("g0-aaaaaa", None), ("g1-bbbbbb", "g0-aaaaaa")]):
            store.add_generation(
                Generation(
                    id=id,
                    seq=seq,
                    parent=parent,
                    status=GenerationStatus.CANDIDATE,
                    model="pocket",
                    prompts="compact",
                )
            )
            store.activate(id)
        item = MemoryItem(
            id="m-1",
            title="",
            when="refund order $1",
            content='tag $1 "red"; refund $1',
            kind=MemoryKind.WORKFLOW,
            namespace="house_rules/0",
        )
        store.apply([MemoryOp(kind=OpKind.ADD, item=item)], "g1-bbbbbb", {})
    return instar


def one_line(text: str) -> str:
    assert text.strip() and "\n" not in text.strip(), text
    assert "Traceback" not in text
    return text


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["evolv"], "Did you mean 'evolve'"),
        (["evolve", "--generation", "2"], "--generations"),
        (["evolve", "--generations", "none"], "--generations"),
        (["evolve", "-o", "gate.task=9"], "gate.tasks"),
        (["evolve", "--preset", "poket"], "pocket"),
        (["bench", "run", "house_rulez"], "house_rules"),
        (["bench", "run", "house_rules", "--arms", "base,memry"], "memory"),
        (["bench", "run", "house_rules", "--arms", "base,base"], "more than once"),
        (["bench", "run", "house_rules", "--generation", "g7"], "generation"),
        (["bench", "show", "run9"], "instar bench list"),
        (["bench", "list", "house_rules"], "instar bench list"),
        (["bench", "run"], "instar bench run --help"),
        (["memory", "search", " "], "instar memory search"),
        (["memory", "show", "nothing"], "instar memory list"),
        (["generations", "show", "g7"], "g7"),
        (["generations", "rollback"], "instar generations list"),
        (["evolve", "--model", "local/nowhere", "--generations", "1"], "local/DIR"),
        (["evolve", "-o", "train.trainer=nosuch"], "sft"),
        (["evolve", "-o", "curriculum.select=nosuch"], "sec"),
        (["evolve", "-o", "curriculum.select=off"], "sec"),
        (["pocket", "pretrain", "--device", "gpu"], "cuda"),
        (["pocket", "pretrain", "--without", "memorys"], "memory"),
        (["pocket", "pretrain", "--width", "100"], "multiple of 16"),
        (["pocket", "pretrain", "--tokens", "9", "--minutes", "9"], "not both"),
        (["pocket", "compare", "--variant", "lama"], "llama"),
    ],
)
def test_a_mistake_is_one_line_that_says_what_to_type(instar, arguments, says):
    instar("init")
    code, out, err = instar(*arguments)
    assert code == 2
    assert says in one_line(err)
    assert out == ""


def test_there_is_no_workspace_yet(instar):
    code, _, err = instar("generations", "list")
    assert code == 2
    one_line(err)


def test_all_settings_are_listed_as_they_are_here(instar, tmp_path):
    instar("init", "--seed", "7")
    told = (tmp_path / "ws" / "instar.toml").read_text()
    assert "instar list --settings" in told
    (tmp_path / "ws" / "instar.toml").write_text(told + "[gate]\ntasks = 33\n")
    found = json.loads(instar("list", "--settings", "--json")[1])
    assert list(found) == keys() and (found["seed"], found["gate.tasks"]) == (7, 33)
    assert "gate.tasks" in instar("list", "--settings")[1]


def test_init_makes_a_workspace_once(instar, tmp_path):
    code, out, _ = instar("init", "--seed", "7", "--json")
    assert (code, json.loads(out)["made"]) == (0, True)
    assert "seed = 7" in (tmp_path / "ws" / "instar.toml").read_text()
    assert json.loads(instar("init", "--json")[1])["made"] is False


def test_generations_are_listed_shown_and_switched(filled):
    found = json.loads(filled("generations", "list", "--json")[1])["generations"]
    assert [(g["id"], g["status"]) for g in found] == [
        ("g0-aaaaaa", "retired"),
        ("g1-bbbbbb", "active"),
    ]
    shown = json.loads(filled("generations", "show", "g1-bbbbbb", "--json")[1])
    assert (shown["memories"], shown["ancestry"]) == (1, ["g1-bbbbbb", "g0-aaaaaa"])
    code, _, err = filled("generations", "show", "g")
    assert code == 2 and "'g' could be g0-aaaaaa, g1-bbbbbb: type more" in one_line(err)
    told = filled("generations", "show", "g1")[1]
    assert "came after  g0-aaaaaa" in told and "{" not in told
    back = json.loads(filled("generations", "rollback", "--json")[1])
    assert back == {"active": "g0-aaaaaa", "before": "g1-bbbbbb", "quarantined": []}
    assert "no generation to go back to" in filled("generations", "rollback")[2]
    again = json.loads(filled("generations", "promote", "g1-b", "--json")[1])
    assert again["active"] == "g1-bbbbbb"
    assert "g1-bbbbbb" in filled("generations", "list")[1]


def test_rollback_goes_back_to_what_served_and_not_to_the_parent(filled, tmp_path):
    with Store.open(tmp_path / "ws" / "instar.db") as store:
        branch = store.generation("g1-bbbbbb").model_copy(update={"id": "g2-cccccc", "seq": 2})
        changes = {"parent": "g0-aaaaaa", "status": GenerationStatus.CANDIDATE}
        store.add_generation(branch.model_copy(update=changes))
    filled("generations", "promote", "g2")
    back = [json.loads(filled("generations", "rollback", "--json")[1]) for _ in range(2)]
    assert [b["active"] for b in back] == ["g1-bbbbbb", "g0-aaaaaa"]


def test_memories_are_listed_shown_and_seen_by_generation(filled):
    items = json.loads(filled("memory", "list", "--json")[1])["items"]
    assert [i["id"] for i in items] == ["m-1"]
    none = json.loads(filled("memory", "list", "--generation", "g0-aaaaaa", "--json")[1])
    assert none["items"] == []
    assert json.loads(filled("memory", "show", "m-1", "--json")[1])["versions"][0]["version"] == 1
    assert "refund order $1" in filled("memory", "list")[1]
    told = filled("memory", "show", "m")[1]
    assert "m-1, version 1" in told and "refund order $1" in told and "{" not in told


def test_methods_are_listed_with_their_first_line(instar):
    code, out, _ = instar("list", "--json")
    found = json.loads(out)
    assert code == 0
    assert {"memory.distill", "finetune.train", "benchmarks.worlds"} <= set(found)
    assert all(line for methods in found.values() for line in methods.values())


def test_worlds_and_runs_are_listed(instar):
    instar("init")
    found = json.loads(instar("bench", "list", "--json")[1])
    assert "house_rules" in found["worlds"]
    assert found["runs"] == []


def test_bench_list_shows_what_a_world_leaves_out(instar):
    pages = json.loads(instar("bench", "list", "miniwob", "--json")[1])["tasks"]
    found = {page["name"]: page for page in pages}
    assert len(found) == 125 and found["login-user"]["offered"]
    assert not found["drag-box"]["offered"] and found["drag-box"]["note"] == "needs dragging"


def test_bench_run_ends_with_the_promised_object(instar):
    small = ["-o", "model.name=oracle_policy.Obedient", "--web-share", "0", "--seed", "3"]
    code, out, err = instar(
        "bench", "run", "house_rules", "--arms", "base,memory", "--n", "6", "--json", *small
    )
    assert code == 0, err
    found = json.loads(out)
    keys = {"benchmark", "generation", "model", "n", "seed", "protocol", "arms", "paired"}
    assert keys | {"leakage", "run"} <= set(found)
    assert (found["n"], found["seed"], set(found["arms"])) == (6, 3, {"base"})
    assert "remembers nothing" in found["left_out"]["memory"]
    assert "memory is left out" in err
    shown = json.loads(instar("bench", "show", found["run"], "--json")[1])
    assert shown == found
    # A run goes on as it was begun: the seed need not be said again, and no other is taken.
    again = ["bench", "run", "house_rules", "--resume", found["run"], "--json"]
    resumed = json.loads(instar(*again)[1])
    assert (resumed["seed"], resumed["arms"]) == (3, found["arms"])
    assert json.loads(instar(*again, *small)[1])["arms"] == found["arms"]
    for other in (["--seed", "4"], ["--n", "5"], ["-o", "agent.max_steps=9"]):
        code, out, err = instar(*again, *other)
        assert (code, out) == (2, "") and f"--resume {found['run']}" in one_line(err)
    free = ["--arms", "base", "--n", "6", "--free", "--json"]
    beginning = ["--generation", found["generation"][:-1]]
    code, out, err = instar("bench", "run", "house_rules", *free, *small, *beginning)
    assert json.loads(out)["generation"] == found["generation"], err
    assert json.loads(out)["arms"]["base"]["success"] == 1.0, err


def test_a_world_is_checked_from_the_command_line(instar):
    code, out, err = instar("bench", "health", "house_rules", "--n", "12", "--json")
    assert code == 0, err
    found = json.loads(out)
    assert found["healthy"] is True
    assert found["tasks"] == 12
    code, out, err = instar("bench", "health", "house_rules", "--n", "12")
    assert "12 tasks: fit to measure with" in out
    rates = dict(line.rsplit("  ", 1) for line in out.splitlines() if line.endswith(" %"))
    assert {k.strip(): v for k, v in rates.items()}["oracle"] == "100 %"


def test_a_variant_of_a_second_world_is_checked_from_the_command_line(instar):
    poison = ["-o", "methods.library_desk.variant=poison"]
    code, out, err = instar("bench", "health", "library_desk", "--n", "6", "--json", *poison)
    assert code == 0, err
    assert json.loads(out)["world"] == "library_desk/0-poison0.5"
    storm = ["-o", "methods.library_desk.variant=storm"]
    code, out, err = instar("bench", "health", "library_desk", "--n", "6", *storm)
    assert code == 2 and "storm" not in out
    assert "variant" in one_line(err)


def test_the_doctor_finds_a_healthy_workspace_and_a_damaged_one(instar, tmp_path):
    instar("init")
    code, out, err = instar("doctor", "--json")
    states = {f["name"]: f["state"] for f in json.loads(out)["findings"]}
    assert code == 0, err
    assert "damaged" not in states.values()
    (tmp_path / "ws" / "instar.toml").write_text("[agnt]\nmax_steps = 3\n")
    code, out, err = instar("doctor")
    assert code != 0
    assert "agent" in err + out


def test_the_shipped_model_sits_its_exam(instar):
    code, out, err = instar("pocket", "exam", "--n", "6", "--seed", "5", "--json")
    assert code == 0, err
    found = json.loads(out)
    assert {"pick", "tools/habit", "web/lesson"} <= set(found)
    assert found["tools/habit"] > 0.8


def test_help_is_quick_because_it_imports_nothing_heavy():
    heavy = ["torch", "transformers", "chromadb", "playwright", "litellm", "scipy", "langgraph"]
    program = (
        "import sys, instar.cli\n"
        "try: instar.cli.main(['--help'])\n"
        "except SystemExit: pass\n"
        f"print([m for m in {heavy} + ['pydantic', 'sqlalchemy'] if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.stdout.strip().endswith("[]"), done.stdout[-300:] + done.stderr
    assert "evolve" in done.stdout


def test_status_is_a_check_for_monitors(instar, filled, tmp_path):
    code, out, err = instar("status", "--json")
    found = json.loads(out)
    assert code == 0 and found["active"] == "g1-bbbbbb" and found["age"] is None and not err
    code, out, err = instar("status", "--max-age", "2d")
    assert code == 5 and "g1-bbbbbb" in out and "was ever finished" in one_line(err)
    with Store.open(tmp_path / "ws" / "instar.db") as store:
        store.finish_stage("run1", {"run": "run1", "turn": 1, "last": 1, "finished": True})
    assert instar("status", "--max-age", "2d")[0] == 0
    with Store.open(tmp_path / "ws" / "instar.db") as store:
        store.finish_stage("g2/promote", {"active": "g1-bbbbbb", "before": "g1-bbbbbb"})
        store.finish_stage("run2", {"run": "run2", "turn": 2, "last": 2, "finished": False})
    assert "run2, of which only the report is left: instar evolve" in instar("status")[1]
    code, _, err = instar("status", "--workspace", "")
    assert code == 2 and "it is empty. Name a folder" in one_line(err)
    code, _, err = instar("status", "--max-age", "soon")
    assert code == 2 and "36h" in one_line(err)


def test_a_busy_workspace_and_a_stop_file_have_exit_codes_of_their_own(instar, tmp_path):
    instar("init")
    with exclusive(tmp_path / "ws"):
        code, out, err = instar("evolve", "--once", "--practise")
        assert code == 4 and not out and "is in use by process" in one_line(err)
    (tmp_path / "ws" / "STOP").touch()
    code, out, err = instar("evolve")
    assert code == 3 and not out and "remove it to go on" in one_line(err)


def test_a_turn_with_nothing_new_says_so_and_a_failed_one_is_told(instar, tmp_path):
    told = tmp_path / "told"
    hook = f'once.on_failure=echo "$INSTAR_ERROR" > {told}'
    code, out, err = instar("evolve", "--once", "-o", hook)
    assert code == 2 and not out and "Make one: instar init" in one_line(err)
    assert not (tmp_path / "ws").exists() and "Make one" in told.read_text()
    told.unlink()
    instar("init")
    code, out, _ = instar("evolve", "--once", "-o", hook)
    assert code == 0 and one_line(out).startswith("Nothing new") and not told.exists()
    far = ["--model", "openai/x", "-o", "practise.web_share=0"]
    code, _, err = instar("evolve", "--once", "--practise", "-o", hook, *far)
    # On a slow machine there is a line before it that says how far practice is.
    assert code in (1, 2) and err.strip().splitlines()[-1] in told.read_text()
    failing = "once.on_failure=exit 7"
    code, _, err = instar("evolve", "--once", "--practise", "-o", failing, *far)
    assert "exit code 7" in err
    (tmp_path / "ws" / "instar.toml").write_text(
        f"[once]\non_failure = 'echo \"$INSTAR_ERROR\" > {told}'\n"
    )
    code, _, err = instar("evolve", "--once", "-o", "gate.task=3")
    assert code == 2 and one_line(err) in told.read_text() + "\n" and "gate.task" in err
    told.unlink()
    assert instar("evolve", "--once", "--dry-run", "-o", "gate.task=3")[0] == 2
    assert not told.exists()
    (tmp_path / "ws" / "instar.toml").write_text("preset = \n")
    assert instar("evolve", "--once")[0] == 2 and not told.exists()
    assert instar("evolve", "--practise")[0] == 2
    assert instar("evolve", "--once", "--generations", "2")[0] == 2


def test_schedule_prints_one_of_two_and_writes_units(instar, tmp_path):
    code, _, err = instar("schedule", "--cron")
    assert code == 2 and "instar init" in one_line(err)
    instar("init")
    code, out, _ = instar("schedule", "--cron", "--at", "2:05", "--practise")
    assert code == 0 and "evolve --once --practise --workspace" in out.splitlines()[0]
    code, out, _ = instar("schedule", "--systemd", "--out", str(tmp_path / "units"))
    names = {path.name for path in (tmp_path / "units").iterdir()}
    kinds = (".service", ".timer", "-check.service", "-check.timer")
    assert code == 0 and names == {f"instar-ws{kind}" for kind in kinds}
    assert "enable --now instar-ws.timer instar-ws-check.timer" in out
    code, _, err = instar("schedule")
    assert code == 2 and "--cron" in one_line(err)
    code, out, _ = instar("schedule", "--cron", "--seed", "0", "--model", "pocket")
    assert code == 0 and "--once --model pocket --seed 0 --workspace" in out
    code, _, err = instar("schedule", "--cron", "--model", "nope")
    assert code == 2 and "nope" in one_line(err)


def test_sessions_are_listed_and_judged_by_id(instar, tmp_path):
    instar("init")
    with Store.open(tmp_path / "ws" / "instar.db") as store:
        for name, status in (("aa1", Status.UNKNOWN), ("ab2", Status.UNKNOWN), ("c3", Status.PASS)):
            found = trajectory(task(name), status, id=name, purpose="live")
            store.save_trajectory(found, stage="live")
    code, out, _ = instar("score")
    assert code == 0 and "aa1" in out and "refund order ab2" in out
    code, _, err = instar("score", "a", "pass")
    assert code == 2 and "could be" in one_line(err)
    assert instar("score", "aa", "well")[0] == 2
    assert instar("score", "aa", "pass")[0] == 0
    code, _, err = instar("score", "c3", "fail")
    assert code == 2 and "ab2" in one_line(err), "a program said how that one went"
    code, out, _ = instar("score", "aa1", "fail")
    assert code == 0 and one_line(out) == "aa1: fail, was pass.\n", "a person may have been wrong"
    with Store.open(tmp_path / "ws" / "instar.db") as store:
        assert store.trajectory("aa1").score.status is Status.FAIL
        store.finish_stage("g1/reflect_1", {"recorded": ["aa1"]})
    assert "A turn has read it as it was" in instar("score", "aa1", "pass")[1]
    assert "aa1" not in instar("score")[1]


def test_a_single_stage_wants_a_turn_that_is_open(instar):
    instar("init")
    for command in ("moult", "gate"):
        code, _, err = instar(command)
        assert code == 2 and "Begin one: instar reflect" in one_line(err)


def test_a_mistake_leaves_no_folder_behind(instar, tmp_path):
    for command in (["generations", "rollback"], ["purge", "--text", "x"], ["gate"], ["score"]):
        code, _, err = instar(*command)
        assert code == 2 and "no workspace" in one_line(err)
        assert not (tmp_path / "ws").exists(), command
