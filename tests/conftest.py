"""What holds for every test: no network beyond loopback, no keys, no telemetry, few threads.

Three walls, since no one of them covers all processes: Python's sockets are guarded here and, by
`offline/sitecustomize.py`, in Python children; everything that honours proxy variables (Chromium,
Node, curl, HTTP libraries with sockets of their own) is pointed at a loopback port where nobody
listens; hub clients are told to stay offline.
"""

from __future__ import annotations

import importlib.util
import os
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).resolve().parent.parent
OFFLINE = ROOT / "tests" / "offline"
PASSED = ROOT / ".soak" / "passed"

_NOBODY = "http://127.0.0.1:9"
_LOOPBACK = "127.0.0.1,localhost,::1"
_SETTINGS = {
    **dict.fromkeys(("http_proxy", "https_proxy", "all_proxy"), _NOBODY),
    **dict.fromkeys(("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"), _NOBODY),
    **dict.fromkeys(("no_proxy", "NO_PROXY"), _LOOPBACK),
    "ANONYMIZED_TELEMETRY": "False",
    "DO_NOT_TRACK": "1",
    "HF_DATASETS_OFFLINE": "1",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "HF_HUB_OFFLINE": "1",
    "JDK_JAVA_OPTIONS": "-XX:TieredStopAtLevel=1",  # for processes that live for seconds
    "LANGCHAIN_TRACING_V2": "false",
    "LANGSMITH_TRACING": "false",
    "LITELLM_LOCAL_MODEL_COST_MAP": "True",
    "MPLBACKEND": "Agg",
    "OMP_NUM_THREADS": "1",
    "OTEL_SDK_DISABLED": "true",
    "TOKENIZERS_PARALLELISM": "false",
    "TRANSFORMERS_OFFLINE": "1",
}
_PRIVATE = re.compile(r"(_API_KEY|_TOKEN|_BASE_URL|_API_BASE)$|^INSTAR_(?!BROWSERGYM_PYTHON$)")


def _prepare(environment: dict[str, str] | os._Environ[str]) -> None:
    for name in [n for n in environment if _PRIVATE.search(n)]:
        del environment[name]
    environment.update(_SETTINGS)
    path = environment.get("PYTHONPATH", "")
    environment["PYTHONPATH"] = os.pathsep.join(p for p in (str(OFFLINE), str(ROOT), path) if p)


# At import, not in a fixture: libraries read these when they are imported.
_prepare(os.environ)


def _guard() -> ModuleType:
    """The guard, which a worker of pytest-xdist has loaded already as a Python child."""
    loaded = sys.modules.get("sitecustomize")
    if loaded is not None and hasattr(loaded, "refused"):
        return loaded
    spec = importlib.util.spec_from_file_location("sitecustomize", OFFLINE / "sitecustomize.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    sys.modules["sitecustomize"] = module
    spec.loader.exec_module(module)
    return module


GUARD = _guard()


@pytest.fixture(autouse=True)
def stays_on_loopback() -> Iterator[list[str]]:
    """Fail a test in which something reached for the network, even if the error was swallowed."""
    GUARD.refused.clear()
    yield GUARD.refused
    assert not GUARD.refused, f"reached beyond loopback: {GUARD.refused}"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """A soak test that passed is not run again until `.soak` is removed."""
    passed = set(PASSED.read_text().splitlines()) if PASSED.exists() else set()
    for item in items:
        if item.get_closest_marker("soak") and item.nodeid in passed:
            item.add_marker(pytest.mark.skip(reason="passed before; to repeat: rm -r .soak"))


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Keep at once what passed, so that a soak that is killed goes on where it was."""
    if report.when == "call" and report.passed and "soak" in report.keywords:
        PASSED.parent.mkdir(exist_ok=True)
        with PASSED.open("a") as file:
            file.write(f"{report.nodeid}\n")
