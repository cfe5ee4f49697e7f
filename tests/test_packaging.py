"""What a clone needs to become an installation: pins, package data, make, Chromium, the wheel."""

import ast
import os
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Sequence
from fnmatch import fnmatch
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import instar
from tools import install_chromium

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = ("instar", "agent", "memory", "curriculum", "tools", "finetune", "benchmarks")
TARGETS = {"help", "evolve", "test", "check", "fix", "soak", "clean"}
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
PINS = [
    line
    for line in (ROOT / "constraints.txt").read_text().splitlines()
    if line and not line.startswith("#")
]


def direct() -> list[Requirement]:
    project = PROJECT["project"]
    lines = [*project["dependencies"]]
    for extra in project["optional-dependencies"].values():
        lines += [line for line in extra if not line.startswith("instar[")]
    return [Requirement(line) for line in lines]


BESIDE = ("instar_client",)
"""Distributions of this repository that only studies use."""


def make(*arguments: str) -> subprocess.CompletedProcess[str]:
    # These tests may run under a make, whose variables must not reach this one.
    ours = re.compile("MAKE|MFLAGS|PYTHON$|VENV$|TORCH_INDEX$|WORKSPACE$|GENERATIONS$")
    return subprocess.run(
        ["make", "--no-print-directory", *arguments],
        cwd=ROOT,
        env={name: value for name, value in os.environ.items() if not ours.match(name)},
        capture_output=True,
        text=True,
        timeout=60,
    )


def test_version_is_told_once():
    assert PROJECT["project"]["version"] == instar.__version__


def test_constraints_only_pin():
    assert all(re.fullmatch(r"[A-Za-z0-9._-]+==[0-9][A-Za-z0-9.]*", line) for line in PINS)
    names = [canonicalize_name(line.split("==")[0]) for line in PINS]
    assert len(names) == len(set(names)) and not {"instar", "pip"} & set(names)


def test_every_requirement_has_a_pin_that_fits():
    pins = {canonicalize_name(n): v for n, v in (line.split("==") for line in PINS)}
    for requirement in direct():
        name = canonicalize_name(requirement.name)
        assert name in pins, f"{name} has no pin"
        assert requirement.specifier.contains(pins[name], prereleases=True), requirement


def test_every_library_imported_is_declared():
    declared = {canonicalize_name(r.name) for r in direct()}
    providers = packages_distributions()
    missing = set()
    for path in (p for name in PACKAGES for p in (ROOT / name).rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            names = [a.name for a in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            for top in (
                {n.split(".")[0] for n in names} - sys.stdlib_module_names - {*PACKAGES, *BESIDE}
            ):
                # The name itself stands in where the library is not installed.
                found = {canonicalize_name(d) for d in providers.get(top, [top])}
                if not found & declared:
                    missing.add(f"{path.relative_to(ROOT).as_posix()}: {top}")
    assert not missing, "\n".join(sorted(missing))


RESULTS = ROOT / "benchmarks" / "results"


def test_package_data_takes_every_file():
    patterns = ["*.py", *PROJECT["tool"]["setuptools"]["package-data"]["*"]]
    left = [
        path.relative_to(ROOT).as_posix()
        for name in PACKAGES
        for path in (ROOT / name).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
        if RESULTS not in path.parents  # they stay in the repository
        if not any(fnmatch(path.name, pattern) for pattern in patterns)
    ]
    assert not left, "add a pattern to package-data in pyproject.toml"


def test_make_offers_exactly_these_targets():
    listed = set(re.findall(r"^ +make (\w+)", make("help").stdout, re.MULTILINE))
    assert listed == TARGETS
    assert make().stdout == make("help").stdout


def test_continuous_integration_runs_make_test():
    script = ROOT / ".ci" / "run"
    assert os.access(script, os.X_OK)
    lines = script.read_text().splitlines()
    assert lines[:2] == ["#!/usr/bin/env bash", "set -euo pipefail"] and lines[-1] == "make test"


OLD = 'case "$*" in -V) echo Python 3.9.2;; *) exit 1;; esac'
NO_VENV = 'case "$*" in *ensurepip*) exit 1;; *) exit 0;; esac'


@pytest.mark.parametrize(
    ("script", "missing"),
    [(None, "was not found"), (OLD, "is Python 3.9.2"), (NO_VENV, "the venv module")],
)
def test_missing_prerequisites_are_named(tmp_path, script, missing):
    python = tmp_path / "python"
    if script:
        python.write_text(f"#!/bin/sh\n{script}\n")
        python.chmod(0o755)
    ran = make("test", f"PYTHON={python}", f"VENV={tmp_path / 'venv'}")
    assert ran.returncode != 0 and missing in ran.stderr
    assert "sudo apt-get install python3 python3-venv make" in ran.stderr
    assert not (tmp_path / "venv").exists()


def test_a_folder_that_is_no_environment_is_not_emptied(tmp_path):
    (tmp_path / "letter.txt").write_text("dear")
    ran = make("check", f"VENV={tmp_path}", f"PYTHON={sys.executable}")
    assert ran.returncode != 0 and "no virtual environment" in ran.stderr
    make("-n", "clean", f"VENV={tmp_path}")
    assert (tmp_path / "letter.txt").read_text() == "dear"


def planned(tmp_path: Path, *arguments: str, stamps: Sequence[str] = ()) -> str:
    for stamp in stamps:
        (tmp_path / stamp).touch()
    ran = make("-n", *arguments, f"VENV={tmp_path}")
    assert ran.returncode == 0, ran.stderr
    return ran.stdout


def test_set_up_is_not_repeated(tmp_path):
    stamps = (".venv", ".torch", ".run", ".dev", ".chromium")
    for target in ("evolve", "test", "check", "fix", "soak"):
        plan = planned(tmp_path, target, stamps=stamps)
        assert "install" not in plan and "venv --clear" not in plan


def test_evolve_runs_three_generations(tmp_path):
    plan = planned(tmp_path, "evolve")
    last = plan.splitlines()[-1]
    assert last.endswith(
        "bin/instar evolve --preset pocket --generations 3 --workspace instar-workspace"
    )
    assert "'.[local,bench]' -c constraints.txt" in plan


def test_only_torch_comes_from_its_own_index(tmp_path):
    index = "https://download.pytorch.org/whl/cpu"
    pin = "\"$(grep '^torch==' constraints.txt)\""
    lines = planned(tmp_path, "test", f"TORCH_INDEX={index}", stamps=[".venv"]).splitlines()
    assert [
        line.endswith(f"--no-deps --index-url {index} {pin}") for line in lines if index in line
    ]
    assert sum(index in line for line in lines) == 1
    assert f"install --no-compile -c constraints.txt {pin}" in planned(tmp_path, "test")


def test_clean_leaves_workspaces(tmp_path):
    assert "instar-workspace" not in planned(tmp_path, "clean")


class Machine:
    """A machine on which a Chromium opens a page only after certain commands."""

    def __init__(self, mends: str, fails: Sequence[str] = ()) -> None:
        self.mends, self.fails = mends, fails
        self.commands: list[str] = []

    def run(self, command: Sequence[str], seconds: float) -> bool:
        self.commands.append(" ".join(command))
        return not any(word in self.commands[-1] for word in self.fails)

    def problem(self) -> str:
        return "" if any(self.mends in c for c in self.commands) else "no browser"

    def set_up(self, debian: bool) -> str:
        return install_chromium.set_up(self.run, self.problem, debian)


@pytest.mark.browser
def test_chromium_of_the_system_is_taken():
    assert install_chromium.problem() == ""
    assert Machine("").set_up(debian=True) == ""


def test_chromium_is_downloaded_before_packages_are_touched():
    machine = Machine("playwright install ")
    assert machine.set_up(debian=True) == "" and len(machine.commands) == 1


def test_chromium_comes_from_debian_last(monkeypatch):
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    machine = Machine("apt-get install", fails=["playwright install "])
    assert machine.set_up(debian=True) == ""
    assert "--no-install-recommends chromium" in machine.commands[-1]
    machine = Machine("apt-get install")
    assert machine.set_up(debian=True) == ""
    assert [("install-deps" in c, "uninstall" in c) for c in machine.commands[1:3]] == [
        (True, False),
        (False, True),
    ]
    assert Machine("never").set_up(debian=False) == "no browser"


def test_without_rights_no_package_is_touched(monkeypatch):
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    machine = Machine("apt-get", fails=["sudo -n true"])
    assert machine.set_up(debian=True) == "no browser"
    assert not any("apt-get" in c or "install-deps" in c for c in machine.commands)


def test_no_chromium_is_one_line(monkeypatch, capsys):
    monkeypatch.setenv("INSTAR_CHROMIUM", "there-is-no-such-program")
    assert install_chromium.main() == 1
    error = capsys.readouterr().err
    assert error.count("\n") == 1 and "there-is-no-such-program" in error


def test_wheel_holds_everything_and_imports(tmp_path):
    copy = tmp_path / "copy"
    ignored = shutil.ignore_patterns("__pycache__")
    for name in PACKAGES:
        shutil.copytree(ROOT / name, copy / name, ignore=ignored)
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, copy)
    results = copy / RESULTS.relative_to(ROOT)
    copied = [
        path
        for name in PACKAGES
        for path in (copy / name).rglob("*")
        if path.is_file() and results not in path.parents
    ]
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "-q"]
    offline = ["--no-deps", "--no-index", "--no-build-isolation"]
    installed = tmp_path / "installed"
    command = [*pip, "install", *offline, "--target", str(installed), str(copy)]
    subprocess.run(command, check=True, cwd=tmp_path, timeout=180)
    left = [
        path.relative_to(copy).as_posix()
        for path in copied
        if not (installed / path.relative_to(copy)).is_file()
    ]
    assert not left and results.is_dir()
    assert not (installed / "benchmarks" / "results").exists()
    code = "; ".join(f"import {name}; print({name}.__file__)" for name in PACKAGES)
    child = subprocess.run(
        [sys.executable, "-c", code],
        env=os.environ | {"PYTHONPATH": str(installed)},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    assert all(line.startswith(str(installed)) for line in child.stdout.split())
