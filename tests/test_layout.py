"""Flat packages and the direction of imports, read from the syntax trees, nested imports included."""

import ast
import functools
import importlib
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PARTS = ("agent", "memory", "curriculum", "tools", "finetune", "benchmarks")
PACKAGES = ("instar", *PARTS)
HEAVY = ("torch", "transformers", "chromadb", "playwright", "litellm", "trl", "datasets", "scipy")

# Layers of instar's public modules; all others are the spine.
# The service is beside compose: an agent that is not ours does its episodes through it.
LAYERS = {"types": 0, "errors": 1, "compose": 4, "service": 4, "auditing": 5, "benching": 5}
LAYERS |= {
    "evolve": 5,
    "ablating": 6,
    "doctor": 6,
    "foreseeing": 6,
    "gateway": 6,
    "mcp": 6,
    "once": 6,
    "standing": 6,
    "cli": 6,
}
SPINE, PART, TOP = 2, 3, 6
# Commands of their own, which time or study whole parts together; nothing imports them.
COMMANDS = ("benchmarks.perf.", "benchmarks.studies.")

FILES = sorted(path for name in PACKAGES for path in (ROOT / name).rglob("*.py"))
SOURCES = [*FILES, *sorted((ROOT / "tests").rglob("*.py"))]


def relative(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


@functools.cache
def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(), filename=str(path))


def imported(path: Path) -> list[str]:
    """Dotted names that a file imports, anywhere in it; `from a import b` gives `a.b`."""
    names = []
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{relative(path)}:{node.lineno}: relative import"
            names += [f"{node.module}.{alias.name}" for alias in node.names]
    return names


def settle(imports: dict[str, set[str]]) -> dict[str, int]:
    """Layer of each module of instar, given which of them it imports.

    A private module belongs to whoever imports it: it has the lowest layer among those.
    """
    layers = {name: LAYERS.get(name, SPINE) for name in imports if name[0] != "_"}
    layers |= {name: TOP for name in imports if name[0] == "_"}
    while True:
        lower = {
            name: min([TOP, *(layers[user] for user in imports if name in imports[user])])
            for name in imports
            if name[0] == "_"
        }
        if lower.items() <= layers.items():
            return layers
        layers |= lower


@functools.cache
def layers() -> dict[str, int]:
    imports: dict[str, set[str]] = {}
    for path in (p for p in FILES if p.parts[len(ROOT.parts)] == "instar"):
        targets = [n.split(".")[1] for n in ours(path) if n.startswith("instar.")]
        imports.setdefault(module(path).split(".")[1], set()).update(targets)
    return settle(imports)


def layer(dotted: str) -> int:
    """Layer of a module of ours; what `instar/__init__.py` itself holds counts as the lowest."""
    first, *rest = dotted.split(".")
    return PART if first in PARTS else (LAYERS | layers()).get(rest[0] if rest else "", 0)


def module(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts)


@functools.cache
def ours(path: Path) -> list[str]:
    return [name for name in imported(path) if name.split(".")[0] in PACKAGES]


def is_wrong(source: str, target: str) -> bool:
    """Whether `source` may not import `target`."""
    ours, theirs = source.split(".")[0], target.split(".")[0]
    if source.startswith(COMMANDS):
        return False
    if target.startswith(COMMANDS):
        return True
    if ours == theirs and ours in PARTS:
        return False
    if ours in PARTS and theirs in PARTS:
        return (ours, theirs) != ("benchmarks", "tools")
    return layer(target) > layer(source) or (ours in PARTS and layer(target) > SPINE)


@pytest.mark.parametrize("name", PACKAGES)
def test_packages_are_regular_typed_and_from_this_checkout(name):
    folder = ROOT / name
    assert (folder / "__init__.py").is_file() and (folder / "py.typed").is_file()
    assert Path(importlib.import_module(name).__file__) == folder / "__init__.py"
    inner = {path.parent for path in folder.rglob("*.py")}
    bare = [relative(f) for f in inner if not (f / "__init__.py").is_file()]
    assert not bare, f"without __init__.py: {bare}"


def test_names_that_others_ship_are_not_used():
    taken = [p.name for p in ROOT.iterdir() if p.stem in {"schemas", "utils", "config"}]
    assert not taken


def test_tests_are_flat_files():
    strays = [
        relative(path)
        for path in (ROOT / "tests").rglob("*.py")
        if path.parent != ROOT / "tests" and path.name != "sitecustomize.py"
    ]
    assert not strays and not list((ROOT / "tests").rglob("__init__.py"))


def test_imports_run_one_way():
    wrong = [
        f"{relative(path)} imports {name}"
        for path in FILES
        for name in ours(path)
        if is_wrong(module(path), name)
    ]
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize(
    ("source", "target", "wrong"),
    [
        ("instar.types", "instar.errors.InstarError", True),
        ("instar.errors", "instar.types.Record", False),
        ("instar.store", "instar.types.Task", False),
        ("instar.store", "instar.compose", True),
        ("instar.store", "memory.bank", True),
        ("instar.compose", "memory.bank", False),
        ("instar.compose", "instar.evolve", True),
        ("instar.evolve", "instar.compose", False),
        ("instar.cli", "instar.evolve", False),
        ("instar.doctor", "tools.chromium", False),
        ("memory.bank", "instar.store.Store", False),
        ("memory.bank", "instar.compose", True),
        ("memory.bank", "memory.embed", False),
        ("agent.graph", "tools.browser", True),
        ("benchmarks.worlds.house_rules", "tools.browser", False),
        ("tools.browser", "benchmarks.runner", True),
        ("benchmarks.perf.endpoint", "agent.graph", False),
        ("benchmarks.runner", "benchmarks.perf.endpoint", True),
    ],
)
def test_the_rule_of_imports_itself(source, target, wrong):
    assert is_wrong(source, target) is wrong


def test_a_private_module_belongs_to_its_lowest_user():
    found = settle(
        {"store": {"_rows"}, "_rows": {"_deep"}, "_deep": set(), "evolve": {"_rows", "_loop"}}
        | {"_loop": {"compose"}, "compose": set(), "types": set()}
    )
    assert found["_rows"] == found["_deep"] == SPINE
    assert found["_loop"] == LAYERS["evolve"] and found["types"] == 0


@pytest.mark.parametrize("name", ["instar", "instar.cli", "instar.plugins", "instar.config"])
def test_import_is_light(name):
    code = f"import sys, {name}; print(*sorted(set({HEAVY!r}) & set(sys.modules)))"
    child = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, cwd=ROOT
    )
    assert child.returncode == 0, child.stderr
    assert not child.stdout.strip(), f"import {name} loads {child.stdout}"


def test_heavy_libraries_are_imported_inside_functions():
    found = []
    for path in FILES:
        guarded = {
            inner
            for node in ast.walk(tree(path))
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.If)
            for inner in ast.walk(node)
        }
        for node in set(ast.walk(tree(path))) - guarded:
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            else:
                names = [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            heavy = [n for n in names if n.split(".")[0] in HEAVY]
            found += [f"{relative(path)}:{node.lineno} {n}" for n in heavy]
    assert not found, "\n".join(found)


def test_files_and_functions_are_short():
    long = [relative(p) for p in FILES if len(p.read_text().splitlines()) > 300]
    for path in FILES:
        for node in ast.walk(tree(path)):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                length = (node.end_lineno or node.lineno) - node.lineno + 1
                long += [f"{relative(path)}:{node.name} {length}"] if length > 60 else []
    assert not long, "\n".join(long)


def test_modules_say_what_they_are():
    silent = [
        relative(p) for p in FILES if p.read_text().strip() and not ast.get_docstring(tree(p))
    ]
    assert not silent


def test_no_file_names_a_place_on_somebodys_machine():
    # Written in pieces so that this file does not find itself.
    places = re.compile(
        "|".join(("/wo" + "rk/", "/ho" + "me/", "/ro" + "ot/", "/o" + "pt/", "/tm" + "p/"))
    )
    texts = [*SOURCES, *ROOT.glob("*.md"), *ROOT.glob("*.toml"), ROOT / "Makefile"]
    found = [
        f"{relative(path)}:{number}: {line.strip()}"
        for path in texts
        for number, line in enumerate(path.read_text().splitlines(), 1)
        if places.search(line)
    ]
    assert not found, "\n".join(found)
