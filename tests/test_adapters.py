"""`instar adapters`: what was trained, listed and shown, and exported for use elsewhere."""

import json
import shutil

import pytest
from lora_adapters import adapter, load, tiny_base
from stores import generation

from finetune.registry import Registry
from instar import cli
from instar.store import Store
from instar.types import GenerationStatus


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    return tiny_base(tmp_path_factory.mktemp("base"))


@pytest.fixture(scope="module")
def made(tmp_path_factory, base):
    """A workspace with two adapters: one serves, the other was rejected."""
    folder = tmp_path_factory.mktemp("made")
    with Store.open(folder) as store:
        registry = Registry(folder / "adapters", store)
        first = registry.record(adapter(base, registry.root))
        second = registry.record(adapter(base, registry.root, draw=2, parent=first.name))
        store.add_generation(generation("g0"))
        for id, name in (("g1", first.name), ("g2", second.name)):
            store.add_generation(generation(id, "g0").model_copy(update={"adapter": name}))
        store.activate("g1")
        sentence = {"decision": "reject", "sentence": "Rejected: 9 points worse."}
        store.set_status("g2", GenerationStatus.REJECTED, sentence)
    return folder, first, second


@pytest.fixture
def workspace(made, tmp_path):
    return shutil.copytree(made[0], tmp_path / "ws"), *made[1:]


@pytest.fixture
def instar(capsys, workspace, monkeypatch):
    monkeypatch.setenv("INSTAR_WORKSPACE", str(workspace[0]))

    def run(*arguments):
        with pytest.raises(SystemExit) as exited:
            cli.main(list(arguments))
        out, err = capsys.readouterr()
        return exited.value.code, out, err

    return run


def test_adapters_are_listed_with_who_serves_them(instar, workspace):
    _, first, second = workspace
    found = json.loads(instar("adapters", "list", "--json")[1])
    assert [(a["name"], a["state"], a["generations"]) for a in found["adapters"]] == [
        (first.name, "there", {"g1": "active"}),
        (second.name, "there", {"g2": "rejected"}),
    ]
    sizes = [
        sum(p.stat().st_size for p in (workspace[0] / "adapters" / a.name).iterdir())
        for a in (first, second)
    ]
    assert [a["bytes"] for a in found["adapters"]] == sizes and found["bytes"] == sum(sizes)
    told = instar("adapters", "list")[1]
    assert "g1 (active)" in told and second.name in told


def test_a_damaged_adapter_is_shown_with_what_is_wrong(instar, workspace):
    weights = workspace[0] / "adapters" / workspace[1].name / "adapter_model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-9])
    assert "was changed or is cut short" in instar("adapters", "show", workspace[1].name)[1]
    (workspace[0] / "adapters" / workspace[1].name / "adapter_config.json").unlink()
    assert "adapter_config.json is missing" in instar("adapters", "list")[1]


def test_one_is_shown_by_the_beginning_of_its_name(instar, workspace):
    _, first, second = workspace
    found = json.loads(instar("adapters", "show", second.name[:8], "--json")[1])
    assert found["lineage"] == [second.name, first.name]
    assert found["verdicts"]["g2"]["decision"] == "reject"
    told = instar("adapters", "show", second.name[:8])[1]
    for text in (first.name, second.base, "d2", "rows_used = 20", "Rejected: 9 points worse."):
        assert text in told
    assert "losses" not in told


def test_an_unknown_adapter_is_one_line(instar, workspace):
    code, out, err = instar("adapters", "show", "nothing")
    assert (code, out) == (2, "") and workspace[1].name in err and err.count("\n") == 1


def test_an_export_answers_as_the_adapter_does(instar, workspace, base, tmp_path):
    import torch

    folder, first, _ = workspace
    out = tmp_path / "elsewhere" / "mine"
    code, told, _ = instar("adapters", "export", first.name, str(out))
    assert code == 0 and str(out) in told
    ids = torch.arange(2, 12)[None]
    with torch.no_grad():
        ours = load(base, folder / "adapters" / first.name)(ids).logits
        theirs = load(base, out)(ids).logits
        bare = load(base)(ids).logits
    assert torch.equal(ours, theirs) and not torch.allclose(ours, bare, atol=1e-3)
    assert [p.name for p in out.parent.iterdir()] == ["mine"], "nothing is left beside"


def test_the_model_card_says_what_it_is(instar, workspace, tmp_path):
    _, first, second = workspace
    out = tmp_path / "mine"
    instar("adapters", "export", second.name, str(out))
    card = (out / "README.md").read_text()
    assert card.startswith('---\nbase_model: "pocket"\nlibrary_name: peft\n')
    wanted = (second.name, second.base, first.name, "d2", "| trainer | sft |", "| rows_used | 20 |")
    for text in (*wanted, "99 entries", "rejected. Rejected: 9 points worse."):
        assert text in card
    assert str(tmp_path) not in card


def test_an_export_overwrites_nothing(instar, workspace, tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "letter.txt").write_text("dear")
    code, _, err = instar("adapters", "export", workspace[1].name, str(tmp_path / "mine"))
    assert code == 2 and "exists already" in err
    assert [p.name for p in (tmp_path / "mine").iterdir()] == ["letter.txt"]


def test_a_damaged_adapter_is_not_exported(instar, workspace, tmp_path):
    weights = workspace[0] / "adapters" / workspace[1].name / "adapter_model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-9])
    code, _, err = instar("adapters", "export", workspace[1].name, str(tmp_path / "mine"))
    assert code == 2 and "cut short" in err and not (tmp_path / "mine").exists()


def test_a_pin_is_kept_and_taken_off(instar, workspace):
    name = workspace[2].name
    assert json.loads(instar("adapters", "pin", name[:9], "--json")[1])["pinned"] is True
    assert "pinned" in instar("adapters", "list")[1]
    instar("adapters", "pin", name, "--off")
    with Store.open(workspace[0]) as store:
        assert store.adapter(name).pinned is False
