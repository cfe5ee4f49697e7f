"""Somebody's own tasks: good and broken lines, and the places to work: files, tools, a real page."""

import json
import sys
import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer

import own_tasks
import pytest
from own_tasks import module, task

from benchmarks.worlds.yours import Yours
from instar.contracts import World
from instar.errors import EpisodeFault, UserError
from instar.types import Split, Status

HELD_OUT = Split.HELD_OUT


class Quiet(SimpleHTTPRequestHandler):
    """Pages without a log."""

    def log_message(self, *arguments):
        """Say nothing."""


@pytest.fixture
def write(tmp_path, monkeypatch):
    """Write a file of tasks and open it as a world."""
    monkeypatch.setattr(sys, "path", [*sys.path])  # the folder of the file is added to it
    return partial(own_tasks.write, tmp_path)


# The file


def test_lines_become_tasks_of_the_split_that_they_name(write):
    world = write(
        "# a comment, then a blank line",
        "",
        task(id="a", family="letters"),
        task(id="b", split="practise"),
        task(id="c", split="gate"),
        task(instruction="no id, and a line separator \u2028 within"),
    )
    assert isinstance(world, World)
    first, second = world.tasks(HELD_OUT, 9, 0)
    assert (first.id, first.family, first.group) == ("yours/mine/a", "letters", "letters")
    assert "\u2028" in second.instruction and second.id != first.id
    assert [t.id for t in world.tasks(Split.PRACTISE, 9, 0)] == ["yours/mine/b"]
    assert [t.id for t in world.tasks(Split.GATE, 9, 0)] == ["yours/mine/c"]
    assert {t.namespace for t in (first, second)} == {"yours/mine"}


def test_an_id_follows_from_the_content_and_not_from_the_place_or_split(write):
    (one,) = write(task(check="true")).tasks(HELD_OUT, 9, 0)
    (moved,) = write("#", task(check="true", split="gate", family="x")).tasks(Split.GATE, 9, 0)
    (other,) = write(task(check="false")).tasks(HELD_OUT, 9, 0)
    assert one.id == moved.id != other.id


def test_unmarked_tasks_are_all_measured_on_and_hash_deals_them_out(write):
    many = [task(id=str(i)) for i in range(40)]
    unmarked = write(*many)
    assert len(unmarked.tasks(HELD_OUT, 60, 0)) == 40
    assert unmarked.tasks(Split.PRACTISE, 60, 0) == unmarked.tasks(Split.GATE, 60, 0) == []
    dealt = write(*[{**t, "split": "hash"} for t in many])
    parts = {s: {t.id for t in dealt.tasks(s, 60, 0)} for s in Split}
    assert sum(map(len, parts.values())) == len(set().union(*parts.values())) == 40
    assert len(parts[Split.PRACTISE]) > max(len(parts[Split.GATE]), len(parts[HELD_OUT])) > 3


def test_fewer_than_there_are_is_a_draw_of_the_seed_in_the_order_of_the_file(write):
    world = write(*[task(id=f"{i:02}") for i in range(30)])
    draws = [[t.id for t in world.tasks(HELD_OUT, 10, seed)] for seed in (1, 1, 2)]
    assert draws[0] == draws[1] == sorted(draws[0])
    assert draws[0] != draws[2] and len(set(draws[0])) == 10


def test_a_broken_line_costs_only_itself_and_is_told_with_its_number(write, tmp_path, caplog):
    module(tmp_path, "half_a_module", "def verify(:\n")
    world = write(
        task(id="good"),
        '{"instruction": "cut off", ',
        '["no object"]',
        {"instuction": "x", "files": {}},
        {"instruction": "nowhere to work"},
        task(url="http://127.0.0.1/"),
        task(check="true", answer="1"),
        task(split="held-out"),
        {"instruction": "x", "url": "file:///etc/passwd"},
        {"instruction": "x", "files": "no_such_folder"},
        {"instruction": "x", "files": "."},
        task(**{"files": {"../out.txt": ""}}),
        task(verifier="half_a_module.verify"),
        task(verifier="json.no_such_function"),
        task(verifier="verify"),
        {"instruction": "x", "tools": ["json.dumps", "json.dumps"]},
        task(answer={"pattern": "("}),
        task(id="good", answer="7"),
        task(check="true", seconds=-1),
        task(seconds=3),
        task(id="good too", answer=7),
    )
    assert [t.id.rpartition("/")[2] for t in world.tasks(HELD_OUT, 99, 0)] == ["good", "good too"]
    world.tasks(Split.GATE, 9, 0)
    (record,) = caplog.records
    head, *told = record.getMessage().split("\n  ")
    assert "19 of its lines" in head and "2 tasks remain" in head
    reasons = dict(line.split(": ", 1) for line in told)
    assert list(reasons) == [f"line {n}" for n in range(2, 21)]
    expected = {
        2: "not JSON at column",
        3: "not a JSON object",
        4: "instruction is missing; no key 'instuction', did you mean 'instruction'",
        5: "one of url, tools, files is needed, not none",
        6: "not url, files",
        7: "at most one of",
        8: "practise, gate, held_out or hash",
        9: "http://127.0.0.1:8000/",
        10: "no folder no_such_folder",
        11: "whose checks the agent could read",
        12: "'../out.txt'",
        13: "half_a_module does not import: SyntaxError",
        14: "no function no_such_function in",
        15: "no dotted path",
        16: "a tool named dumps is there already",
        17: "no regular expression",
        18: "the same task as line 1",
        19: "seconds has to be a number above 0",
        20: "seconds goes with check or verifier only",
    }
    missing = {
        n: reasons[f"line {n}"] for n, t in expected.items() if t not in reasons[f"line {n}"]
    }
    assert not missing


def test_bytes_that_are_no_text_cost_one_line(write, tmp_path):
    world = write()
    good = json.dumps(task(id="good")).encode()
    (tmp_path / "mine.jsonl").write_bytes(b"\xef\xbb\xbf" + good + b"\r\n\xff\xfe\n")
    assert [t.id for t in world.tasks(HELD_OUT, 9, 0)] == ["yours/mine/good"]


@pytest.mark.parametrize(
    ("lines", "says"),
    [
        ([], "no lines with a task"),
        (["# only a comment"], "no lines with a task"),
        (["{", "[]"], "line 1: not JSON.*line 2: not a JSON object"),
    ],
)
def test_a_file_without_a_single_task_is_refused(write, lines, says):
    with pytest.raises(UserError, match=says):
        write(*lines).tasks(HELD_OUT, 1, 0)


def test_a_file_that_is_not_there_is_named_with_the_command_that_makes_one(tmp_path):
    world = Yours(file=tmp_path / "none.jsonl")
    with pytest.raises(UserError, match=r"none\.jsonl cannot be read.*instar bench init"):
        world.tasks(HELD_OUT, 1, 0)


async def test_a_task_of_another_file_is_refused(write):
    (foreign,) = write(task(), name="other.jsonl").tasks(HELD_OUT, 1, 0)
    with pytest.raises(UserError, match="yours/other"):
        await write(task()).open(foreign, 0)


# Where the work is done


async def test_each_attempt_has_a_fresh_copy_of_the_files(write, tmp_path):
    (tmp_path / "project" / "sub").mkdir(parents=True)
    (tmp_path / "project" / "sub" / "a.txt").write_text("first")
    (tmp_path / "project" / "secret").symlink_to(tmp_path / "mine.jsonl")
    world = write({"instruction": "edit", "files": "project", "check": "grep -q second sub/a.txt"})
    (one,) = world.tasks(HELD_OUT, 1, 0)
    first, second = await world.open(one, 0), await world.open(one, 0)
    assert "sub/" in await first.observe()
    await first.toolset.call("write_file", {"path": "sub/a.txt", "text": "second"})
    assert (await second.toolset.call("read_file", {"path": "sub/a.txt"})).text == "first"
    assert (await second.toolset.call("read_file", {"path": "secret"})).error
    assert [(await e.score()).status for e in (first, second)] == [Status.PASS, Status.FAIL]
    assert (tmp_path / "project" / "sub" / "a.txt").read_text() == "first"
    for episode in (first, second):
        await episode.close()
        assert not episode.folder.exists()


async def test_files_that_are_gone_by_then_leave_the_score_unknown(write, tmp_path):
    (tmp_path / "project").mkdir()
    world = write({"instruction": "edit", "files": "project"})
    (one,) = world.tasks(HELD_OUT, 1, 0)
    (tmp_path / "project").rmdir()
    with pytest.raises(EpisodeFault, match="laid out"):
        await world.open(one, 0)


TOOLS = '''
from tools.functions import FunctionToolset

def add(a: int, b: int) -> int:
    """Add two numbers.

    Args:
        a: The first.
        b: The second.
    """
    return a + b

class Notes(FunctionToolset):
    """Notes in a folder."""
    closed = 0
    def __init__(self, folder):
        super().__init__([self.note])
        self.folder = folder
    def note(self, text: str) -> None:
        """Write a note."""
        (self.folder / "note").write_text(text)
    def observe(self):
        return "a desk"
    async def close(self):
        Notes.closed += 1

async def desk(folder):
    return Notes(folder)

def nothing(): return None
def broken(folder): raise RuntimeError("no desk")
def finish(answer: str): pass
'''


async def test_functions_are_tools_by_signature_and_docstring(write, tmp_path):
    module(tmp_path, "tools_of_mine", TOOLS)
    world = write({"instruction": "add", "tools": ["tools_of_mine.add"], "answer": "5"})
    episode = await world.open(world.tasks(HELD_OUT, 1, 0)[0], 0)
    assert await episode.observe() == "tools: add"
    (spec,) = episode.toolset.tools()
    assert spec.parameters["properties"]["b"] == {"description": "The second.", "type": "integer"}
    assert (await episode.toolset.call("add", {"a": 2, "b": "3"})).text == "5"
    await episode.finish("5")
    assert (await episode.score()).status is Status.PASS
    await episode.close()


async def test_a_maker_gets_the_folder_that_the_check_looks_at(write, tmp_path):
    module(tmp_path, "desks_of_mine", TOOLS)
    world = write({"instruction": "n", "tools": "desks_of_mine.desk", "check": "grep -q hi note"})
    (one,) = world.tasks(HELD_OUT, 1, 0)
    first, second = await world.open(one, 0), await world.open(one, 0)
    assert await first.observe() == "a desk"
    await first.toolset.call("note", {"text": "hi"})
    assert [(await e.score()).status for e in (first, second)] == [Status.PASS, Status.FAIL]
    await first.close()
    await second.close()
    assert sys.modules["desks_of_mine"].Notes.closed == 2


@pytest.mark.parametrize(
    ("name", "says"), [("nothing", "NoneType, which is no toolset"), ("broken", "no desk")]
)
async def test_a_maker_that_fails_leaves_the_score_unknown(write, tmp_path, name, says):
    module(tmp_path, "makers_of_mine", TOOLS)
    world = write({"instruction": "n", "tools": f"makers_of_mine.{name}"})
    with pytest.raises(EpisodeFault, match=says):
        await world.open(world.tasks(HELD_OUT, 1, 0)[0], 0)


def test_a_tool_may_not_take_the_name_that_ends_the_task(write, tmp_path):
    module(tmp_path, "endings_of_mine", TOOLS)
    with pytest.raises(UserError, match="a tool named finish is there already"):
        write({"instruction": "n", "tools": ["endings_of_mine.finish"]}).tasks(HELD_OUT, 1, 0)


PAGE = """<title>Shop</title><button onclick="document.title = 'Sold'; this.remove()">Buy</button>
<a href="http://localhost:{port}/page.html">away</a>"""

LOOKS = """
async def sold(task, answer, episode):
    return await episode.toolset.raw.title() == "Sold"
"""


@pytest.mark.browser
async def test_a_page_is_worked_on_in_a_real_browser_and_left_by_allowed_hosts_only(
    write, tmp_path
):
    module(tmp_path, "looks_of_mine", LOOKS)
    site = tmp_path / "site"
    site.mkdir()
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=site))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    port = server.server_port
    (site / "page.html").write_text(PAGE.format(port=port))
    url = f"http://127.0.0.1:{port}/page.html"
    buy = {"instruction": "buy it", "url": url, "verifier": "looks_of_mine.sold"}
    world = write(buy, {**buy, "hosts": [f"localhost:{port}"]})
    try:
        tasks = world.tasks(HELD_OUT, 2, 0)
        idle, buyer = await world.open(tasks[0], 0), await world.open(tasks[1], 0)
        assert (await idle.score()).status is Status.FAIL
        away = {"url": f"http://localhost:{port}/page.html"}
        assert (await idle.toolset.call("navigate", away)).error
        assert not (await buyer.toolset.call("navigate", away)).error
        seen = await buyer.observe()
        ref = seen.partition('button "Buy" ')[2].split()[0]
        await buyer.toolset.call("click", {"element": "Buy", "ref": ref})
        assert (await buyer.score()).status is Status.PASS
        await idle.close()
        await buyer.close()
    finally:
        await world.close()
        server.shutdown()
        server.server_close()
