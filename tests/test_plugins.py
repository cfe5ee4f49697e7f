"""Methods are found by where they lie, loaded by id or dotted path, and their absence explained."""

import ast
import subprocess
import sys

import pytest

from instar import plugins
from instar.errors import ConfigError, MissingExtra, UnknownName

KINDS = {
    "agent.prompt",
    "agent.scale",
    "agent.verify",
    "benchmarks.worlds",
    "curriculum.propose",
    "curriculum.select",
    "finetune.curate",
    "finetune.probe",
    "finetune.train",
    "memory.distill",
    "memory.exchange",
    "memory.forget",
}


@pytest.fixture
def module(tmp_path, monkeypatch):
    """Somebody's own module, of the given text."""
    monkeypatch.syspath_prepend(str(tmp_path))

    def write(name, text):
        (tmp_path / f"{name}.py").write_text(text)
        return name

    yield write
    for path in tmp_path.glob("*.py"):
        sys.modules.pop(path.stem, None)


def test_the_kinds_are_the_folders_with_a_base():
    assert set(plugins.kinds()) == KINDS


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_every_method_says_what_it_is_and_loads(kind):
    found = plugins.methods(kind)
    assert found
    for name, line in found.items():
        assert name.isidentifier() and not name.startswith("_") and name != "base"
        assert line.endswith("."), f"{kind}.{name}: {line!r}"
        assert isinstance(plugins.load(kind, name), type)


def test_a_kind_may_be_written_as_a_folder():
    assert plugins.methods("curriculum/select") == plugins.methods("curriculum.select")
    assert plugins.load("finetune/curate", "rft") is plugins.load("finetune.curate", "rft")


def test_listing_imports_no_method():
    code = (
        "import sys; from instar import plugins\n"
        "for kind in plugins.kinds(): plugins.methods(kind)\n"
        "print([n for n in sys.modules if n.split('.')[0] in ('torch', 'scipy', 'trl', 'litellm')"
        " or n.startswith(('finetune.', 'memory.', 'benchmarks.'))])"
    )
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ast.literal_eval(told.stdout) == []


def test_unknown_names_list_what_there_is():
    with pytest.raises(UnknownName, match=r"finetune\.curate"):
        plugins.methods("finetune.curat")
    with pytest.raises(
        UnknownName, match=r"Did you mean 'rft'\? Available: pairs, perplexity_band, rft"
    ):
        plugins.load("finetune.curate", "rtf")
    with pytest.raises(UnknownName, match=r"package\.module\.Class"):
        plugins.load("finetune.curate", "nowhere.at.All")


def test_a_class_of_ones_own_is_found_by_its_path(module):
    name = module("own_curator", "class Mine: ...\nnumber = 3\n")
    assert plugins.load("finetune.curate", f"{name}.Mine").__name__ == "Mine"
    assert plugins.load("finetune.curate", f"{name}:Mine").__name__ == "Mine"
    for wrong in ("number", "None_such"):
        with pytest.raises(ConfigError, match="is no class"):
            plugins.load("finetune.curate", f"{name}.{wrong}")


def test_a_missing_library_is_named_with_the_command(module, monkeypatch):
    monkeypatch.setitem(sys.modules, "peft", None)
    name = module("needs_peft", "import peft\nclass Mine: ...\n")
    with pytest.raises(MissingExtra, match=r"peft is not installed.*pip install 'instar\[local\]'"):
        plugins.load("finetune.train", f"{name}.Mine")
    name = module("needs_more", "import no_such_library.part\nclass Mine: ...\n")
    with pytest.raises(MissingExtra, match="pip install no_such_library"):
        plugins.load("finetune.train", f"{name}.Mine")


def test_an_error_inside_a_method_is_not_hidden(module):
    name = module("broken", "raise ImportError('cannot import name x')\n")
    with pytest.raises(ImportError, match="cannot import name"):
        plugins.load("finetune.train", f"{name}.Mine")


def test_a_module_names_exactly_one_class(module):
    import importlib

    for text in (
        "class A: ...",
        "__all__ = ['A', 'B']\nclass A: ...\nclass B: ...",
        "__all__ = ['X']",
    ):
        name = module(f"several{len(text)}", text)
        with pytest.raises(ConfigError, match="must name one class"):
            plugins._only_class(importlib.import_module(name))
