"""A foreign LangGraph application, joined by five lines: it works the same whatever becomes of Instar.

Its folders `agent/` and `tools/` have the names of Instar's packages, as a stranger's may. Its own tests
run unchanged; what they leave on record is looked at from here.
"""

from __future__ import annotations

import asyncio
import contextlib
import importlib.util
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import httpx
import pytest
from openai_double import Endpoint, calling, listening
from test_service import fill, served

from instar.store import Store
from instar.types import Status

ROOT = Path(__file__).resolve().parent.parent
APP = ROOT / "examples" / "support_app"
OFFLINE = ROOT / "tests" / "offline"
HEAVY = (
    *(
        "fastapi.testclient",
        "httpcore",
        "langchain.agents",
        "langchain_openai",
        "langgraph.prebuilt",
    ),
    *("openai.resources", "pytest", "uvicorn"),
)
NOBODY = {"INSTAR_URL": "http://127.0.0.1:9"}
MADE = (".venv", "__pycache__", "*.egg-info", "build")
# On a busy machine a recall takes longer than an agent would wait for it.
PATIENT = {"INSTAR_BUDGET": "60"}
LESSON = "look up the state first"
REQUEST = "refund order 417"

pytestmark = pytest.mark.skipif(not shutil.which("git"), reason="git applies the diff")


def copied(folder: Path, joined: bool) -> Path:
    """The application, as it is or with the five lines."""
    shutil.copytree(APP, folder, ignore=shutil.ignore_patterns(*MADE))
    if joined:
        # Outside of a repository, so that it is the folder that is changed.
        outside = os.environ | {"GIT_CEILING_DIRECTORIES": str(folder.parent)}
        command = ["git", "apply", "instar.diff"]
        subprocess.run(command, cwd=folder, env=outside, check=True)
    return folder


@pytest.fixture(scope="module")
def plain(tmp_path_factory) -> Path:
    return copied(tmp_path_factory.mktemp("plain") / "app", joined=False)


@pytest.fixture(scope="module")
def joined(tmp_path_factory) -> Path:
    return copied(tmp_path_factory.mktemp("joined") / "app", joined=True)


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("desk")
    asyncio.run(fill(folder))
    return folder


@pytest.fixture(scope="module")
def url(folder) -> Iterator[str]:
    with served(folder) as address:
        yield address


@dataclass(frozen=True)
class Runs:
    """Runs ``python -m ...`` in a folder.

    Attributes:
        python: Is given the folder, the arguments and the environment; gives what was printed.
        tests: What to ask of pytest.
        passed: What it says then.
        sessions: How many requests those tests make.
    """

    python: Callable[[Path, Sequence[str], dict[str, str]], str]
    tests: tuple[str, ...] = ("-q",)
    passed: str = "^9 passed"
    sessions: int = 7

    def __call__(self, folder: Path, *arguments: str, **environment: str) -> str:
        return self.python(folder, arguments, environment)

    def passes(self, folder: Path, **environment: str) -> None:
        """Run the application's own tests."""
        said = self(folder, "pytest", *self.tests, **environment)
        assert re.search(self.passed, said, re.MULTILINE), said


@contextlib.contextmanager
def forked(output: Path) -> Iterator[Runs]:
    """Runs by this interpreter, without Instar's packages on its path, that share one import.

    The test that starts Python anew is left out: that takes longer than all others.
    """
    path = [str(ROOT / "client")]
    # Plug-ins of ours for pytest are none of its.
    environment = os.environ | {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    environment |= {"PYTHONPATH": os.pathsep.join([str(OFFLINE), *path])}
    command = [sys.executable, str(ROOT / "tests" / "forkable.py"), *HEAVY]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True, env=environment) as forks:
        assert forks.stdin and forks.stdout

        def python(folder: Path, arguments: Sequence[str], environment: dict[str, str]) -> str:
            job = {"arguments": arguments, "folder": str(folder), "environment": environment}
            job |= {"output": str(output), "path": path}
            print(json.dumps(job), file=forks.stdin, flush=True)
            code = forks.stdout.readline().strip()
            assert code == "0", f"{code}: {output.read_text()}"
            return output.read_text()

        tests = ("-q", "-k", "not command_answers")
        yield Runs(python, tests, "^8 passed, 1 deselected", 6)
        forks.stdin.close()


def installed(folder: Path, app: Path) -> Runs:
    """Runs in a virtual environment with the application and `instar-client`, from the package index."""
    outside = {n: v for n, v in os.environ.items() if not n.lower().endswith("_proxy")}
    outside.pop("PYTHONPATH")
    client = shutil.copytree(ROOT / "client", folder / "client")
    own = folder / "own" / "bin" / "python"
    subprocess.run([sys.executable, "-m", "venv", own.parent.parent], check=True)
    pinned = ["-c", str(ROOT / "constraints.txt")]
    wanted = [f"{client}[langchain]", "-e", f"{app}[test]"]
    command = [own, "-m", "pip", "install", "-q", *pinned, *wanted]
    subprocess.run(command, check=True, env=outside)
    command = [own, "-c", "import instar"]
    alone = subprocess.run(command, cwd=folder, env=outside, capture_output=True)
    assert b"No module named 'instar'" in alone.stderr

    def python(folder: Path, arguments: Sequence[str], environment: dict[str, str]) -> str:
        env = outside | {"PYTHONPATH": str(OFFLINE)} | environment
        command = [own, "-m", *arguments]
        ran = subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True)
        assert ran.returncode == 0, ran.stdout + ran.stderr
        return ran.stdout

    return Runs(python)


@pytest.fixture(scope="module", params=["forked", pytest.param("own", marks=pytest.mark.soak)])
def run(request, tmp_path_factory, joined) -> Iterator[Runs]:
    folder = tmp_path_factory.mktemp("runs")
    if request.param == "own":
        yield installed(folder, joined)
        return
    with forked(folder / "output") as runs:
        yield runs


# What may become of Instar while the application works


@contextlib.contextmanager
def killed(folder: Path) -> Iterator[str]:
    """A service that dies by SIGKILL while it takes down the third session."""
    command = [sys.executable, "-m", "instar.cli", "serve", "--port", "0"]
    environment = os.environ | {"INSTAR_FAILPOINT": "store.trajectory:3"}
    with subprocess.Popen(
        [*command, "--workspace", str(folder)], stderr=subprocess.PIPE, text=True, env=environment
    ) as service:
        assert service.stderr is not None
        yield service.stderr.readline().split(" on ")[1].split(" ")[0]
        assert service.wait(10) == -signal.SIGKILL


@contextlib.contextmanager
def slow(url: str, seconds: float = 5.0) -> Iterator[str]:
    """The service at an address, each of its answers so much later."""
    over = threading.Event()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            if over.wait(seconds):
                return
            headers = {"Content-Type": "application/json"}
            found = httpx.post(f"{url}{self.path}", content=body, headers=headers)
            with contextlib.suppress(OSError):  # nobody may be there any more
                self.send_response(found.status_code)
                self.send_header("Content-Length", str(len(found.content)))
                self.end_headers()
                self.wfile.write(found.content)

        def log_message(self, *_: Any) -> None:
            pass

    with listening(Handler) as address:
        yield address
        over.set()


def sessions(folder: Path) -> list[Any]:
    with Store.open(folder / "instar.db", create=False) as store:
        return list(store.trajectories(purpose="live"))


def test_it_is_joined_by_five_lines():
    diff = (APP / "instar.diff").read_text().splitlines()
    changed = [line for line in diff if re.match(r"[+-](?![+-]{2} )", line)]
    assert len(changed) == 5 and not [line for line in changed if line.startswith("-")]


def test_its_tests_pass_before_it_is_joined(run, plain):
    run.passes(plain)


def test_its_tests_pass_without_a_service(run, joined):
    run.passes(joined, **NOBODY)


def test_its_tests_pass_with_a_service_that_is_killed_in_the_middle_of_a_call(
    run, joined, tmp_path
):
    asyncio.run(fill(tmp_path))
    with killed(tmp_path) as url:
        run.passes(joined, INSTAR_URL=url, **PATIENT)
    assert [s.task.group for s in sessions(tmp_path)] == ["support"] * 2


def test_its_tests_pass_with_a_service_that_answers_after_five_seconds(run, joined, url):
    with slow(url) as late:
        run.passes(joined, INSTAR_URL=late)


@pytest.mark.parametrize("mode", ["on", "shadow"])
def test_its_tests_pass_with_a_service_and_leave_sessions_on_record(run, joined, folder, url, mode):
    before = {s.id for s in sessions(folder)}
    more = {"INSTAR_SHADOW": "1"} if mode == "shadow" else {}
    run.passes(joined, INSTAR_URL=url, **PATIENT, **more)
    new = [s for s in sessions(folder) if s.id not in before]
    rated = [s for s in new if s.score.status is Status.PASS]
    assert len(new) == run.sessions and len(rated) == 1 and rated[0].score.source == "user"
    assert rated[0].task.instruction == REQUEST
    assert [[c.name for c in s.calls] for s in rated[0].steps] == [
        ["refund"],
        ["find_order"],
        ["refund"],
        [],
    ]
    assert rated[0].steps[0].results[0].error and not rated[0].steps[2].results[0].error
    assert rated[0].answer == "Order 417 is refunded."
    assert [m.content for m in rated[0].memories] == ([LESSON] if mode == "on" else [])


# Whether a memory changes what it does


def clerk(messages: list[dict[str, Any]]) -> dict[str, Any]:
    """A model that refunds at once, and knows better only where it is told."""
    told = any(LESSON in m["content"] for m in messages if m["role"] == "system")
    last = messages[-1]
    if last["role"] == "user":
        return calling("find_order" if told else "refund", order=417)
    if "not looked up" in last["content"]:
        return calling("find_order", order=417)
    if "is paid" in last["content"]:
        return calling("refund", order=417)
    return {"role": "assistant", "content": last["content"]}


def doubles() -> Any:
    """The application's own stand-ins."""
    spec = importlib.util.spec_from_file_location("doubles", APP / "tests" / "doubles.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("mode", ["off", "shadow", "on"])
def test_a_memory_reaches_its_model_and_spares_a_mistake(run, joined, folder, url, mode):
    before = {s.id for s in sessions(folder)}
    instar = {"off": NOBODY, "shadow": {"INSTAR_URL": url, "INSTAR_SHADOW": "1"}}
    office, model = doubles().Office(), Endpoint(clerk)
    with doubles().serving(office.tools, office.use) as office_url, model.served() as model_url:
        said = run(
            joined,
            "app",
            REQUEST,
            OFFICE_URL=office_url,
            OPENAI_BASE_URL=model_url,
            OPENAI_API_KEY="none",
            **PATIENT,
            **instar.get(mode, {"INSTAR_URL": url}),
        )
    assert said == "Order 417 is refunded.\n" and office.orders[417] == "refunded"
    way = ["find_order", "refund"] if mode == "on" else ["refund", "find_order", "refund"]
    assert [name for name, _ in office.used] == way
    shown = [LESSON in json.dumps(messages) for messages in model.seen]
    assert all(shown) if mode == "on" else not any(shown)
    new = [s for s in sessions(folder) if s.id not in before]
    made = [[c.name for step in s.steps for c in step.calls] for s in new]
    assert made == ([] if mode == "off" else [way])
