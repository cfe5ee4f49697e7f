"""Where settings come from, which place wins, and what is said about a wrong one."""

import pytest
from pydantic import ValidationError

from instar._methods import build
from instar.config import Config, keys, load_config, presets
from instar.errors import ConfigError, UnknownName


def write(folder, text):
    path = folder / "instar.toml"
    path.write_text(text, encoding="utf-8")
    return path


def test_without_anything_the_default_preset_holds():
    config = load_config()
    assert config.preset == "pocket"
    assert config.model.name == "pocket"
    assert config.memory.distill == ("workflow", "rules")


@pytest.mark.parametrize("name", presets())
def test_every_preset_loads(name):
    assert load_config(overrides=[f"preset={name}"]).preset == name


def test_later_places_win(tmp_path):
    path = write(tmp_path, "[gate]\ntasks = 11\nmargin = 0.1\n[report]\ntasks = 11\n")
    env = {"INSTAR_GATE__TASKS": "12", "INSTAR_REPORT__TASKS": "12", "INSTAR_SEED": "5"}
    config = load_config(path, ["gate.tasks=13"], env)
    assert (config.gate.tasks, config.report.tasks, config.gate.margin) == (13, 12, 0.1)
    assert config.seed == 5
    assert config.evolve.generations == 3


def test_a_folder_may_hold_a_file(tmp_path):
    assert load_config(tmp_path) == load_config()
    write(tmp_path, "seed = 9")
    assert load_config(tmp_path).seed == 9


def test_values_are_written_as_toml_or_as_plain_text():
    config = load_config(
        overrides=[
            "memory.distill=['rules']",
            "train.lr=1e-4",
            "world.house=4",
            "model.name=openai/gpt-9",
            "model.base_url=http://127.0.0.1:1/v1",
            "memory.floor = 0.25",
        ]
    )
    assert config.memory.distill == ("rules",)
    assert config.train.lr == 1e-4
    assert config.world.house == 4
    assert config.model.name == "openai/gpt-9"
    assert config.model.base_url == "http://127.0.0.1:1/v1"
    assert config.memory.floor == 0.25
    assert load_config(overrides=["world.house=4", "world.house=none"]).world.house is None


def test_a_number_may_name_a_model():
    assert load_config(overrides=["model.name=7"]).model.name == "7"


def test_settings_of_single_methods_pass_through():
    config = load_config(overrides=["methods.sec.alpha=0.3", "methods.sec.note=slow"])
    preset = load_config().methods
    assert config.methods == {**preset, "sec": {"alpha": 0.3, "note": "slow"}}


def trainer(path=None, overrides=(), env=None):
    config = load_config(path, overrides, env)
    given = {"max_steps": config.train.steps, "seconds": 60 * (config.train.minutes or 1)}
    made = build("finetune.train", config.train.trainer, config, **given)
    return made.config.max_steps, made.config.seconds


def test_what_a_person_sets_of_the_training_outdoes_the_preset(tmp_path):
    assert trainer() == (100, 90)
    assert trainer(overrides=["train.steps=300", "train.minutes=5"]) == (300, 300)
    assert trainer(env={"INSTAR_TRAIN__STEPS": "20"}) == (20, 90)
    path = write(tmp_path, "[train]\nsteps = 7\n[methods.sft]\nseconds = 8\n")
    assert trainer(path) == (7, 8)
    assert trainer(path, ["methods.sft.max_steps=9", "train.minutes=2"]) == (9, 120)
    assert trainer(overrides=["train.steps=300", "methods.sft.max_steps=9"]) == (9, 90)


@pytest.mark.parametrize(
    ("option", "said"),
    [
        ("tran.lr=1", "Did you mean 'train.lr'?"),
        ("train.stepz=1", "Did you mean 'train.steps'?"),
        ("lr=1", "Did you mean 'train.lr'?"),
        ("gate.colour=red", "Available: gate.tasks, gate.margin, gate.group_margin,"),
        ("bogus.x=1", "Sections: preset, seed, workspace, model,"),
        ("methods=3", "Unknown setting 'methods'"),
        ("methods.sec=3", "Unknown setting 'methods.sec'"),
        ("memory.k.l=3", "Did you mean 'memory.k'?"),
        ("seed", "type -o section.key=value"),
        ("gate.tasks=many", "'gate.tasks' in -o: Input should be a valid integer"),
        ("gate.tasks=0", "greater than 0, not 0"),
        ("practise.attempts=1", "'practise.attempts' in -o"),
        ("practise.web_share=2", "less than or equal to 1"),
        ("memory.distill=rules", "'memory.distill' in -o"),
    ],
)
def test_a_wrong_option_says_what_is_right(option, said):
    with pytest.raises(ConfigError) as caught:
        load_config(overrides=[option])
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


def test_the_place_of_a_wrong_setting_is_named(tmp_path):
    path = write(tmp_path, "[train]\nstepz = 3\n")
    with pytest.raises(ConfigError, match=r"instar\.toml"):
        load_config(path)
    with pytest.raises(ConfigError, match="the environment"):
        load_config(env={"INSTAR_TRAIN__STEPZ": "3"})
    path = write(tmp_path, "[train]\nsteps = 3\n")
    with pytest.raises(ConfigError, match=r"'train.steps' in the environment"):
        load_config(path, env={"INSTAR_TRAIN__STEPS": "x"})


def test_other_variables_are_let_be():
    env = {"INSTAR_FAILPOINT": "store.apply", "HOME": "/", "GATE__TASKS": "3"}
    assert load_config(env=env) == load_config()


def test_files_that_cannot_be_read_are_reported(tmp_path):
    with pytest.raises(ConfigError, match="instar init"):
        load_config(tmp_path / "none.toml")
    with pytest.raises(ConfigError, match="not valid TOML"):
        load_config(write(tmp_path, "seed = = 3"))
    broken = tmp_path / "instar.toml"
    broken.write_bytes(b"seed = '\xff'")
    with pytest.raises(ConfigError, match="not valid TOML"):
        load_config(broken)


def test_an_unknown_preset_lists_those_there_are(tmp_path):
    with pytest.raises(UnknownName, match="pocket"):
        load_config(overrides=["preset=poket"])
    assert load_config(write(tmp_path, "preset = 'pocket'")).preset == "pocket"


def test_settings_are_frozen_and_go_through_json():
    config = load_config(overrides=["methods.sec.alpha=0.3"])
    with pytest.raises(ValidationError):
        config.gate.tasks = 3
    assert Config.model_validate_json(config.model_dump_json()) == config


def test_every_key_can_be_set():
    config = load_config()
    for key in keys():
        value = config
        for part in key.split("."):
            value = getattr(value, part)
        text = "none" if value is None else str(list(value) if isinstance(value, tuple) else value)
        assert load_config(overrides=[f"{key}={text}"]) == config
