"""Adapters composed into one: its effect is the weighted sum of theirs, to rounding."""

import json

import pytest
from lora_adapters import TARGETS, adapter, load, tiny_base

from finetune.compose import compose
from finetune.registry import Registry
from instar import cli
from instar.errors import UserError
from instar.store import Store


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    return tiny_base(tmp_path_factory.mktemp("base"))


@pytest.fixture(scope="module")
def bare(base):
    return weights(load(base))


def weights(model):
    return {n.replace(".base_layer", ""): w for n, w in model.state_dict().items()}


def effect(base, bare, one):
    """What an adapter adds to each weight of the base, by PEFT's own merge."""
    merged = weights(load(base, one.path).merge_and_unload())
    return {name: merged[name] - bare[name] for name in bare}


KINDS = [
    ({"r": 4, "lora_alpha": 8}, {"r": 7, "lora_alpha": 3}),
    ({"r": 4, "lora_alpha": 8, "use_rslora": True}, {"r": 6, "lora_alpha": 5}),
    ({"r": 4, "target_modules": ["q_proj"]}, {"r": 2, "target_modules": ["v_proj", "up_proj"]}),
    ({"r": 3, "rank_pattern": {"q_proj": 6}, "alpha_pattern": {"down_proj": 12}}, {"r": 5}),
    ({"r": 4, "layers_to_transform": [1]}, {"r": 2, "target_modules": r".*\.(k_proj|down_proj)"}),
]


@pytest.mark.parametrize(("one", "other"), KINDS)
def test_the_effect_is_the_weighted_sum(tmp_path, base, bare, one, other):
    import torch

    parts = [adapter(base, tmp_path, draw=1, **one), adapter(base, tmp_path, draw=2, **other)]
    made = compose(parts, [0.7, -1.3], tmp_path)
    first, second, found = (effect(base, bare, a) for a in (*parts, made))
    changed = 0
    for name in bare:
        wanted = 0.7 * first[name] - 1.3 * second[name]
        changed += bool(wanted.abs().max() > 0.01)
        assert torch.allclose(found[name], wanted, atol=1e-5), name
    assert changed >= 2


def test_with_weights_one_and_zero_it_answers_as_the_first(tmp_path, base):
    import torch

    parts = [adapter(base, tmp_path, draw=d, r=d + 2) for d in (1, 2)]
    made = compose(parts, [1.0, 0.0], tmp_path)
    ids = torch.arange(2, 14)[None]
    with torch.no_grad():
        logits = [load(base, a.path)(ids).logits for a in (parts[0], made, parts[1])]
    assert torch.allclose(logits[0], logits[1], atol=1e-5)
    assert not torch.allclose(logits[1], logits[2], atol=1e-2)


def test_it_has_one_rank_and_one_scale_and_names_its_parts(tmp_path, base):
    parts = [adapter(base, tmp_path, draw=1, r=4), adapter(base, tmp_path, draw=2, r=7)]
    made = compose(parts, [1.0, 1.0], tmp_path)
    settings = json.loads((tmp_path / made.name / "adapter_config.json").read_text())
    assert (settings["r"], settings["lora_alpha"]) == (11, 11)
    assert settings["target_modules"] == sorted(TARGETS)
    assert made.recipe["parts"] == {p.name: 1.0 for p in parts}
    assert (made.base, made.parent) == (parts[0].base, parts[0].name)
    assert compose(parts, [1.0, 1.0], tmp_path).name == made.name
    assert compose(parts, [1.0, 2.0], tmp_path).name != made.name
    assert not [p for p in tmp_path.iterdir() if p.name.startswith(".")]


@pytest.mark.parametrize(
    ("settings", "why"),
    [
        ({"use_dora": True}, "DoRA"),
        ({"bias": "lora_only"}, "biases"),
        ({"modules_to_save": ["lm_head"]}, "whole layers"),
        ({"init_lora_weights": "pissa"}, "changed the base"),
        ({"target_modules": ["embed_tokens"]}, "lora_embedding"),
    ],
)
def test_what_is_no_sum_is_refused(tmp_path, base, settings, why):
    plain, odd = adapter(base, tmp_path, draw=1), adapter(base, tmp_path, draw=2, **settings)
    before = sorted(tmp_path.iterdir())
    for parts in ([plain, odd], [odd, plain]):
        with pytest.raises(UserError, match=why) as caught:
            compose(parts, [1.0, 1.0], tmp_path)
        assert odd.name in str(caught.value)
    assert sorted(tmp_path.iterdir()) == before


def test_other_bases_and_wrong_weights_are_refused(tmp_path, base):
    one, two = adapter(base, tmp_path, draw=1), adapter(base, tmp_path, draw=2)
    other = two.model_copy(update={"base": "elsewhere"})
    for parts, weighed, why in [
        ([one, other], [1.0, 1.0], "only adapters over one base"),
        ([one, one], [1.0, 1.0], "two different"),
        ([one], [1.0], "two different"),
        ([one, two], [1.0], "2 adapters need as many weights"),
        ([one, two], [0.0, 0.0], "would do nothing"),
        ([one, two], [1.0, float("nan")], "numbers"),
    ]:
        with pytest.raises(UserError, match=why):
            compose(parts, weighed, tmp_path)


def test_the_command_records_what_it_made(tmp_path, base, capsys):
    with Store.open(tmp_path) as store:
        registry = Registry(tmp_path / "adapters", store)
        names = [registry.record(adapter(base, registry.root, draw=d)).name for d in (1, 2)]

    def instar(*more):
        with pytest.raises(SystemExit) as exited:
            cli.main(["adapters", "compose", *more, "--workspace", str(tmp_path)])
        return exited.value.code, *capsys.readouterr()

    code, out, _ = instar(names[0][:8], names[1], "--weights", "0.5,0.25", "--json")
    made = json.loads(out)
    assert code == 0 and made["recipe"]["parts"] == {names[0]: 0.5, names[1]: 0.25}
    with Store.open(tmp_path) as store:
        assert Registry(tmp_path / "adapters", store).get(made["name"]).recipe["rank"] == 8
    code, out, err = instar(*names, "--weights", "half")
    assert (code, out) == (2, "") and "0.7,0.3" in err
