"""``instar run``: one episode on a real page or with files, by a prepared model."""

import json
import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from instar.cli import _run
from instar.store import Store
from instar.types import Generation, GenerationStatus

PAGES = Path(__file__).parent / "pages"


class Quiet(SimpleHTTPRequestHandler):
    """Pages without a log."""

    def log_message(self, *arguments):
        """Say nothing."""


@pytest.fixture
def url():
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=PAGES))
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/form.html"
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture
def script(tmp_path):
    def write(*replies):
        path = tmp_path / "script.jsonl"
        path.write_text("".join(json.dumps(r) + "\n" for r in replies))
        return f"scripted:{path}"

    return write


def _instar(capsys, tmp_path, *arguments):
    code = _run(["run", *arguments, "--workspace", str(tmp_path / "ws"), "--json"])
    out, err = capsys.readouterr()
    return code, json.loads(out.splitlines()[-1]) if out else None, err


def _call(name, **arguments):
    return {"calls": [{"name": name, "arguments": arguments}]}


def test_without_a_page_the_agent_has_the_files_of_the_workspace(capsys, tmp_path, script):
    model = script(
        _call("write_file", path="note.txt", text="milk"), _call("list_files"), _call("finish")
    )
    code, found, err = _instar(capsys, tmp_path, "buy milk", "--model", model)
    assert (code, found["stop"], len(found["steps"])) == (0, "finished", 3)
    assert (tmp_path / "ws" / "files" / "note.txt").read_text() == "milk"
    assert "write_file" in err
    assert "note.txt" in err


@pytest.mark.browser
def test_on_a_page_each_step_is_shown_and_the_trajectory_is_kept(capsys, tmp_path, script, url):
    model = script(_call("read"), _call("finish", answer="seen"))
    code, found, err = _instar(capsys, tmp_path, "look at it", "--url", url, "--model", model)
    assert (code, found["answer"]) == (0, "seen")
    assert "read" in err

    from instar.store import Store

    with Store.open(tmp_path / "ws") as store:
        kept = store.trajectory(found["id"])
    assert kept.steps[0].observation.startswith("page:")
    assert kept.score.status == "unknown"


def test_another_model_works_with_the_memories_but_without_the_adapter(capsys, tmp_path, script):
    assert _run(["init", "--workspace", str(tmp_path / "ws")]) == 0
    capsys.readouterr()
    with Store.open(tmp_path / "ws" / "instar.db") as store:
        made = {"id": "g1-a", "seq": 1, "model": "pocket", "prompts": "compact"}
        made |= {"adapter": "a1", "parent": None}
        store.add_generation(Generation(**made, status=GenerationStatus.CANDIDATE))
        store.activate("g1-a")
    code, found, _ = _instar(capsys, tmp_path, "stop", "--model", script(_call("finish")))
    assert (code, found["stop"], found["generation"]) == (0, "finished", "g1-a")
