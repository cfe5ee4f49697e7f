"""What is installed, what is missing or damaged, and the command that mends it.

Each check answers with findings and changes nothing that is stored. A check that fails in a way
nobody foresaw is a finding too: a doctor who faints helps nobody.
"""

from __future__ import annotations

import asyncio
import importlib.metadata
import json
import platform
import re
import sys
import tomllib
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from instar import _service_checks, _workspace_checks
from instar._findings import Finding, State
from instar.errors import UserError

__all__ = ["Finding", "State", "examine"]

_LEAST_PYTHON = (3, 11)
_OPTIONAL_EXTRAS = frozenset({"agentdojo", "bench", "dev", "offline", "scienceworld"})
_CHECKOUT = Path(__file__).resolve().parent.parent


Check = Callable[[], Awaitable[list[Finding]]]


async def examine(workspace: Path) -> list[Finding]:
    """Look at the machine, the installation and a workspace, which need not exist."""

    async def in_workspace() -> list[Finding]:
        return await asyncio.to_thread(_workspace_checks.examine, workspace)

    async def disk() -> list[Finding]:
        return [_workspace_checks.disk(workspace)]

    async def embedder() -> list[Finding]:
        return await _service_checks.embedder(workspace)

    async def index_server() -> list[Finding]:
        return await _service_checks.index_server(workspace)

    checks: dict[str, Check] = {
        "Python": _python,
        "packages": _packages,
        "BFCL": _bfcl,
        "Chromium": _chromium,
        "Java": _java,
        "pocket model": _pocket,
        "CUDA": _cuda,
        "disk": disk,
        "workspace": in_workspace,
        "embedder": embedder,
        "index server": index_server,
    }
    return [found for name, check in checks.items() for found in await _guarded(name, check)]


async def _guarded(name: str, check: Check) -> list[Finding]:
    try:
        return await check()
    except UserError as error:
        return [Finding(name=name, state=State.BROKEN, detail=str(error))]
    except Exception as error:  # noqa: BLE001 - the boundary: whatever fails here is the finding
        detail = f"could not be examined: {type(error).__name__}: {error}"
        return [Finding(name=name, state=State.BROKEN, detail=detail.splitlines()[0])]


async def _python() -> list[Finding]:
    enough = sys.version_info >= _LEAST_PYTHON
    least = ".".join(map(str, _LEAST_PYTHON))
    remedy = "" if enough else f"install Python {least} or newer and make the environment again"
    state = State.FOUND if enough else State.BROKEN
    return [Finding(name="Python", state=state, detail=platform.python_version(), remedy=remedy)]


def _requirements() -> dict[str, list[str]]:
    """Requirements by extra, ``""`` for those always needed; a checkout's own, else the installed."""
    project = _CHECKOUT / "pyproject.toml"
    table = tomllib.loads(project.read_text())["project"] if project.exists() else {}
    if table.get("name") == "instar":
        return {"": table["dependencies"], **table["optional-dependencies"]}
    grouped: dict[str, list[str]] = {}
    for line in importlib.metadata.requires("instar") or []:
        requirement, _, marker = line.partition(";")
        extra = re.search(r"extra == ['\"](\w+)['\"]", marker)
        grouped.setdefault(extra.group(1) if extra else "", []).append(requirement.strip())
    return grouped


async def _packages() -> list[Finding]:
    return [
        finding
        for extra, requirements in _requirements().items()
        for requirement in requirements
        if not requirement.startswith("instar[")
        for finding in [_package(extra, requirement)]
    ]


def _package(extra: str, requirement: str) -> Finding:
    from packaging.requirements import Requirement

    wanted = Requirement(requirement)
    name = f"{wanted.name} [{extra}]" if extra else wanted.name
    needed = extra not in _OPTIONAL_EXTRAS
    remedy = f"pip install -e '.{f'[{extra}]' if extra else ''}' -c constraints.txt"
    try:
        version = importlib.metadata.version(wanted.name)
    except importlib.metadata.PackageNotFoundError:
        return Finding(name=name, state=State.MISSING, remedy=remedy, needed=needed)
    if wanted.specifier.contains(version, prereleases=True):
        return Finding(name=name, state=State.FOUND, detail=version, needed=needed)
    detail = f"{version}, needed {wanted.specifier}"
    return Finding(name=name, state=State.BROKEN, detail=detail, remedy=remedy, needed=needed)


async def _bfcl() -> list[Finding]:
    """The wheel of one world, which belongs to no extra because it must come without what it needs."""
    from benchmarks.worlds._bfcl_wheel import INSTALL, REQUIREMENT

    found = _package("bench", REQUIREMENT)
    return [found.model_copy(update={"remedy": INSTALL}) if found.remedy else found]


async def _chromium() -> list[Finding]:
    from tools.chromium import find_chromium, version_of

    remedy = "python -m tools.install_chromium"
    try:
        path = find_chromium()
    except UserError as error:
        return [Finding(name="Chromium", state=State.MISSING, detail=str(error), remedy=remedy)]
    version = await version_of(path)
    if not version:
        detail = f"{path} does not start"
        return [Finding(name="Chromium", state=State.BROKEN, detail=detail, remedy=remedy)]
    return [Finding(name="Chromium", state=State.FOUND, detail=f"{version} ({path})")]


async def _java() -> list[Finding]:
    """Only ScienceWorld needs it."""
    from benchmarks.worlds._scienceworld_jvm import INSTALL_JAVA, find_java
    from tools.chromium import version_of

    shape: dict[str, Any] = {"name": "Java", "remedy": INSTALL_JAVA, "needed": False}
    try:
        path = find_java()
    except UserError:
        return [Finding(state=State.MISSING, detail="for ScienceWorld only", **shape)]
    version = (await version_of(path)).partition("\n")[0]
    if not version:
        return [Finding(state=State.BROKEN, detail=f"{path} does not start", **shape)]
    return [Finding(name="Java", state=State.FOUND, detail=f"{version} ({path})", needed=False)]


async def _pocket() -> list[Finding]:
    from finetune.pocket import MODEL_DIR

    remedy = "git checkout -- finetune/pocket/model, or instar pocket pretrain"
    missing = [n for n in ("config.json", "tokenizer.json") if not (MODEL_DIR / n).is_file()]
    weights = sorted(MODEL_DIR.glob("*.safetensors"))
    missing += [] if weights else ["*.safetensors"]
    if missing:
        detail = f"{', '.join(missing)} not in {MODEL_DIR}"
        return [Finding(name="pocket model", state=State.MISSING, detail=detail, remedy=remedy)]
    broken = [path.name for path in weights if not _is_whole(path)]
    if broken:
        detail = f"cut off or damaged: {', '.join(broken)}"
        return [Finding(name="pocket model", state=State.BROKEN, detail=detail, remedy=remedy)]
    size = sum(path.stat().st_size for path in weights) / 1e6
    return [Finding(name="pocket model", state=State.FOUND, detail=f"{size:.1f} MB")]


def _is_whole(path: Path) -> bool:
    """Whether a safetensors file is as long as its header says."""
    size = path.stat().st_size
    with path.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
        if not 2 <= length <= size - 8:
            return False
        try:
            header = json.loads(file.read(length))
        except ValueError:
            return False
    ends = [v["data_offsets"][1] for k, v in header.items() if k != "__metadata__"]
    return size == 8 + length + max(ends, default=0)


async def _cuda() -> list[Finding]:
    try:
        import torch
    except ImportError:
        detail = "unknown without torch"
        return [Finding(name="CUDA", state=State.MISSING, detail=detail, needed=False)]
    if torch.cuda.is_available():
        names = ", ".join(torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count()))
        detail = f"{names} (CUDA {torch.version.cuda})"
        return [Finding(name="CUDA", state=State.FOUND, detail=detail, needed=False)]
    detail = "no device; pocket runs on the CPU"
    if torch.version.cuda is None:
        detail += f", and torch {torch.__version__} is a build without CUDA"
    return [Finding(name="CUDA", state=State.MISSING, detail=detail, needed=False)]
