"""The agents of the study `beside`, as processes of their own: the clerk, and a desk that is a LangGraph application."""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from instar.errors import UserError

__all__ = ["AGENTS", "free_port", "running"]

AGENTS = ("clerk", "desk")
"""An agent in a file, and ``examples/support_app`` with its diff applied and the clerk's policy as its model."""

_ROOT = Path(__file__).resolve().parents[2]
_CLERK = (sys.executable, "-m", "benchmarks.studies._clerk")
_DESK = """
import socket, uvicorn
from app import Desk, Settings, service
from instar_client.asgi import PreparedSession
served = service(Desk(Settings.read()))
served.add_middleware(PreparedSession)
at = socket.socket()
at.bind(("127.0.0.1", 0))
print(at.getsockname()[1], flush=True)
uvicorn.Server(uvicorn.Config(served, log_level="error")).run([at])
"""


def free_port() -> int:
    """A port of this machine that nobody listens on."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


@contextlib.contextmanager
def running(agent: str, service: str, out: Path) -> Iterator[str]:
    """An agent that is joined to a service; the URL at which it takes requests.

    Args:
        agent: One of `AGENTS`.
        service: URL of the service that it recalls from and reports to.
        out: Folder for what it needs.

    Raises:
        UserError: There is no such application, or its diff does not apply.
    """
    env = {"INSTAR_URL": service}
    if agent == "clerk":
        with _process([*_CLERK, "--serve", "0"], env, _ROOT) as port:
            yield f"http://127.0.0.1:{port}/solve"
        return
    folder = _joined(out / "desk")
    with _process([*_CLERK, "--model", "0"], {}, _ROOT) as model:
        env |= {"OPENAI_BASE_URL": f"http://127.0.0.1:{model}", "OPENAI_API_KEY": "none"}
        env |= {"SUPPORT_MODEL": "clerk", "PYTHONPATH": str(_ROOT / "client")}
        with _process([sys.executable, "-c", _DESK], env, folder) as port:
            yield f"http://127.0.0.1:{port}/solve"


def _joined(folder: Path) -> Path:
    """A copy of the application with its diff applied."""
    source = _ROOT / "examples" / "support_app"
    if not source.is_dir():
        raise UserError("There is no examples/support_app here; measure the clerk: --agent clerk")
    if not folder.exists():
        shutil.copytree(source, folder)
        diff = ["patch", "--quiet", "-p1", "--input", "instar.diff"]
        if subprocess.run(diff, cwd=folder, check=False).returncode:
            shutil.rmtree(folder)
            raise UserError("examples/support_app/instar.diff does not apply any more.")
    return folder


@contextlib.contextmanager
def _process(command: Sequence[str], env: Mapping[str, str], folder: Path) -> Iterator[str]:
    """A process that prints the port it listens on, ended afterwards."""
    whole = {**os.environ, **env}
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, env=whole, cwd=folder, text=True
    ) as process:
        try:
            assert process.stdout is not None
            port = process.stdout.readline().strip()
            if not port:
                raise UserError(f"{command[-1]} did not start.")
            yield port
        finally:
            process.kill()
