"""An adapter pushed to a server that takes it while it runs: does it answer there as it does here?

The server is on loopback and speaks vLLM's interface; the model behind it is pocket, the adapter real.
"""

import json
import shutil

import pytest
from episodes import task, trajectory
from lora_adapters import adapter
from lora_server import lora_server
from stores import generation

from agent.prompts import load_prompts
from finetune.pocket import MODEL_DIR
from finetune.registry import Registry
from instar import cli
from instar.store import Store
from instar.types import Result, Step, ToolCall, ToolSpec

TOOLS = tuple(
    ToolSpec(
        name=name,
        description=f"{name} a record",
        parameters={"type": "object", "properties": {"record": {"type": "string"}}},
    )
    for name in ("look", "refund", "close")
)
LORA = {"target_modules": ["q_proj", "v_proj", "w1"], "scale": 0.3}


def episode(number):
    call = ToolCall(id="c1", name="look", arguments={"record": str(number)})
    step = Step(observation="ready", calls=(call,), results=(Result(text=f"order {number}"),))
    of = task(f"t{number}", instruction=f"refund order {100 + number}")
    prompts = load_prompts("compact")
    return trajectory(of, prompts=prompts, steps=(step, step), tools=TOOLS, purpose="practise")


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A workspace of pocket with two adapters, of which the first serves, and three episodes."""
    folder = tmp_path_factory.mktemp("made")
    with Store.open(folder) as store:
        registry = Registry(folder / "adapters", store)
        names = [
            registry.record(adapter(MODEL_DIR, registry.root, draw=d, **LORA)).name for d in (1, 2)
        ]
        store.add_generation(generation("g0").model_copy(update={"adapter": names[0]}))
        store.activate("g0")
        for number in range(3):
            store.save_trajectory(episode(number))
    return folder, *names


@pytest.fixture
def workspace(made, tmp_path):
    return shutil.copytree(made[0], tmp_path / "ws"), *made[1:]


@pytest.fixture
def server():
    with lora_server(MODEL_DIR) as one:
        yield one


@pytest.fixture
def push(capsys, workspace, server, monkeypatch):
    monkeypatch.setenv("INSTAR_WORKSPACE", str(workspace[0]))

    def run(*arguments, url=None):
        capsys.readouterr()
        with pytest.raises(SystemExit) as exited:
            cli.main(["adapters", "push", url or server.url, *arguments, "-o", "model.device=cpu"])
        out, err = capsys.readouterr()
        return exited.value.code, out, err

    return run


def test_it_answers_there_as_it_does_here(push, server, workspace):
    folder, first, second = workspace
    code, out, err = push("--json")
    assert code == 0, err
    found = json.loads(out)
    assert found["verified"] is True and found["loaded"] is True
    assert (found["adapter"], found["base"], found["prompts"]) == (first, "the-base", 3)
    assert found["agreed"] == found["base_agreed"] == 3
    assert found["apart"] == found["agreed_apart"] == 3
    assert server.paths == {first: str(folder / "adapters" / first)}

    code, out, _ = push("--adapter", second[:9], "--replace", url=f"{server.url}/v1/")
    assert code == 0 and list(server.paths) == [second]
    assert f"Taken off: {first}." in out and "answers 3 as the adapter does here" in out
    assert f"--model openai/{second} -o model.base_url={server.url}/v1" in out


def test_a_server_that_takes_the_name_and_serves_the_base_is_found_out(push, server, workspace):
    server.deaf = True
    code, out, err = push()
    assert (code, out) == (1, "") and "is not shown to serve" in err
    assert "where it differs from the base" in err
    assert server.paths == {}, "it is taken off again"
    code, out, err = push("--keep", "--json")
    assert code == 0 and json.loads(out)["verified"] is False
    assert "because you say so" in err and list(server.paths) == [workspace[1]]


def test_another_adapter_under_its_name_is_found_out_and_left_alone(push, server, workspace):
    _, first, second = workspace
    assert push("--adapter", second)[0] == 0
    server.paths[first] = server.paths.pop(second)
    server._model.load_adapter(server.paths[first], adapter_name=first)
    code, _, err = push()
    assert code == 1 and "answers are those of the adapter here" in err
    assert list(server.paths) == [first], "it was not loaded by this push"


def test_prompts_that_do_not_tell_it_from_the_base_show_nothing(push, server, workspace):
    with Store.open(workspace[0]) as store:
        registry = Registry(workspace[0] / "adapters", store)
        faint = registry.record(adapter(MODEL_DIR, registry.root, **{**LORA, "scale": 0.01}))
    code, _, err = push("--adapter", faint.name)
    assert code == 1 and "which shows nothing: ask more with --prompts" in err
    assert server.paths == {}


def test_one_that_is_there_already_is_asked_again(push, server):
    push()
    code, out, _ = push("--json")
    found = json.loads(out)
    assert code == 0 and found["loaded"] is False and found["verified"] is True


@pytest.mark.parametrize(
    ("changes", "code", "says"),
    [
        ({"dynamic": False}, 2, "VLLM_ALLOW_RUNTIME_LORA_UPDATING=True"),
        ({"enabled": False}, 2, "--enable-lora"),
        ({"max_rank": 2}, 2, "--max-lora-rank 8"),
        ({"key": "secret"}, 2, "OPENAI_API_KEY"),
    ],
)
def test_what_the_server_cannot_do_is_one_line_that_says_what_to_start(
    push, server, changes, code, says
):
    for name, value in changes.items():
        setattr(server, name, value)
    found, out, err = push("--prompts", "1")
    assert (found, out) == (code, "") and says in err and err.strip().count("\n") == 0
    assert server.paths == {}


def test_a_key_is_sent(push, server, monkeypatch):
    server.key = "secret"
    monkeypatch.setenv("OPENAI_API_KEY", "secret")
    assert push("--prompts", "3")[0] == 0


def test_a_server_elsewhere_reads_another_folder(push, server, workspace, tmp_path):
    code, _, err = push("--there", "/mnt/nowhere", "--prompts", "1")
    assert code == 2 and "/mnt/nowhere" in err and "--there DIR" in err
    (tmp_path / "mounted").symlink_to(workspace[0] / "adapters")
    assert push("--there", f"{tmp_path / 'mounted'}/", "--prompts", "3")[0] == 0
    assert server.paths == {workspace[1]: f"{tmp_path / 'mounted'}/{workspace[1]}"}


@pytest.mark.parametrize(
    ("url", "code", "says"),
    [
        ("http://127.0.0.1:9", 1, "is the server running?"),
        ("127.0.0.1:8000", 2, "http://127.0.0.1:8000"),
    ],
)
def test_a_server_that_is_not_there_is_one_line(push, url, code, says):
    found, out, err = push(url=url)
    assert (found, out) == (code, "") and says in err and err.strip().count("\n") == 0


def test_without_episodes_there_is_nothing_to_ask(push, workspace):
    with Store.open(workspace[0]) as store, store.database.write() as connection:
        connection.exec_driver_sql("DELETE FROM trajectories")
    code, _, err = push()
    assert code == 2 and "instar evolve" in err


def test_an_adapter_of_another_base_is_not_pushed(push, workspace):
    with Store.open(workspace[0]) as store:
        made = store.adapter(workspace[1])
        store.change_adapter(made.model_copy(update={"base": "another"}))
    code, _, err = push()
    assert code == 2 and "trained over base another" in err
