"""Function tools, file tools, host rules, the snapshot's text, finding a Chromium: no browser runs."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Literal

import pytest

from instar.contracts import Toolset
from instar.errors import EpisodeFault, MissingExtra, UserError
from instar.types import Result
from tools import chromium
from tools._hosts import Hosts
from tools._snapshot import count_tokens, take
from tools.files import Files
from tools.functions import FunctionToolset, ToolError, spec_of, tool


@tool(effects=("write",), volatile=("ref",))
async def tag(record: int, text: str, ref: str = "", colour: Literal["red", "blue"] = "red") -> str:
    """Tag a record.

    More that a model need not read.

    Args:
        record: Its number,
            three digits.
        text: What the tag says.
    """
    return f"order {record} tagged {text} {colour}"


def refuse(why: str) -> None:
    """Refuse."""
    raise ToolError(f"locked: {why}")


def explode() -> None:
    """Break in an unforeseen way."""
    raise ZeroDivisionError("by nothing")


def fault() -> None:
    """Lose the infrastructure."""
    raise EpisodeFault("gone")


def whole() -> Result:
    """Answer with an observation."""
    return Result(text="done", observation="page: new")


TOOLS = FunctionToolset([tag, refuse, explode, fault, whole])


def test_schema_comes_from_signature_and_docstring() -> None:
    spec = spec_of(tag)
    assert spec.name == "tag"
    assert spec.description == "Tag a record."
    assert spec.effects == ("write",)
    assert spec.volatile == ("ref",)
    assert spec.argument_names() == ("record", "text", "ref", "colour")
    assert spec.parameters["required"] == ["record", "text"]
    assert spec.parameters["additionalProperties"] is False
    assert spec.parameters["properties"]["record"] == {
        "type": "integer",
        "description": "Its number, three digits.",
    }
    assert spec.parameters["properties"]["colour"]["enum"] == ["red", "blue"]
    assert isinstance(TOOLS, Toolset)


async def test_arguments_are_coerced() -> None:
    result = await TOOLS.call("tag", {"record": "417", "text": 12})
    assert result == Result(text="order 417 tagged 12 red")


@pytest.mark.parametrize(
    ("name", "arguments", "told"),
    [
        ("tagg", {}, "no tool tagg. Tools: tag, refuse, explode, fault, whole"),
        ("tag", {"record": 1}, "tag: text is missing. Arguments: record text ref colour"),
        ("tag", {"record": 1, "text": "a", "x": 2}, "tag: no argument x. Arguments: record"),
        ("tag", {"record": "many", "text": "a"}, "tag: record: input should be a valid integer"),
        ("tag", {"record": 1, "text": "a", "colour": "green"}, "'red' or 'blue'"),
        ("refuse", {"why": "tag first"}, "locked: tag first"),
        ("explode", {}, "ZeroDivisionError: by nothing"),
    ],
)
async def test_mistakes_are_text(name: str, arguments: dict[str, object], told: str) -> None:
    result = await TOOLS.call(name, arguments)
    assert result.error
    assert told in result.text


async def test_results_pass_and_faults_are_raised() -> None:
    assert (await TOOLS.call("whole", {})).observation == "page: new"
    with pytest.raises(EpisodeFault):
        await TOOLS.call("fault", {})


async def test_files_stay_in_their_folder(tmp_path: Path) -> None:
    root = tmp_path / "root"
    root.mkdir()
    (tmp_path / "secret").write_text("x")
    (root / "link").symlink_to(tmp_path / "secret")
    files = Files(root)
    written = await files.call("write_file", {"path": "a/b.txt", "text": "kolu"})
    assert written == Result(text="a/b.txt written, 4 characters")
    assert (await files.call("read_file", {"path": "a/b.txt"})).text == "kolu"
    assert (await files.call("list_files", {})).text == "a/\nlink"
    for path in ("../secret", "link", str(tmp_path / "secret"), "a/../../secret"):
        result = await files.call("read_file", {"path": path})
        assert result == Result(text=f"{path} is outside of the folder", error=True, misuse=True)
    assert (await files.call("write_file", {"path": "../x", "text": ""})).error
    assert not (tmp_path / "x").exists()
    missing = await files.call("read_file", {"path": "none.txt"})
    assert missing == Result(text="none.txt: No such file or directory", error=True, misuse=True)
    with pytest.raises(UserError, match="mkdir -p"):
        Files(tmp_path / "nowhere")


@pytest.mark.parametrize(
    ("url", "allowed"),
    [
        ("http://127.0.0.1:8123/a?b#c", True),
        ("http://127.0.0.1:8123", True),
        ("ws://127.0.0.1:8123/s", True),
        ("http://127.0.0.1:81/a", False),
        ("http://localhost:8123/", False),
        ("https://any.port.example:444/", True),
        ("https://sub.wild.example/", True),
        ("https://wild.example/", False),
        ("https://evil.example/?127.0.0.1:8123", False),
        ("http://127.0.0.1:8123@evil.example/", False),
        ("http://127.0.0.1:8123.evil.example/", False),
        ("http://evilwild.example/", False),
        ("file:///etc/passwd", False),
        ("data:text/html,x", False),
        ("javascript:alert(1)", False),
        ("http://usual.example/x", True),
        ("http://[::1]:8000/", True),
        ("http://[::1]:8001/", False),
        ("http://[::1", False),
    ],
)
def test_hosts(url: str, allowed: bool) -> None:
    entries = ["127.0.0.1:8123", "any.port.example", "*.wild.example", "usual.example:80"]
    hosts = Hosts([*entries, "[::1]:8000"])
    assert hosts.allows(url) is allowed
    if url != "http://[::1":
        assert (hosts.foreign().search(url) is None) is allowed


def test_addresses_as_models_type_them() -> None:
    hosts = Hosts(["*"])
    assert hosts.resolve("/orders", "http://a.example/x") == "http://a.example/orders"
    assert hosts.resolve("a.example:80/x", "http://b.example/") == "http://a.example:80/x"
    assert hosts.resolve("https://a.example/x", "http://b/") == "https://a.example/x"


RAW = """\
- generic [active] [ref=e1]:
  - alert [ref=e2]: "locked: tag \\"red\\" first"
  - 'link "a: \\"b\\" it''s" [ref=e3] [cursor=pointer]':
    - /url: /a
  - textbox "code" [ref=e4]: k7
  - combobox "size" [ref=e5]:
    - option "small"
    - option "large" [selected]
  - row [ref=e6]:
    - cell "562" [ref=e7]
    - cell [ref=e8]:
      - text: open
      - button "see" [disabled] [ref=e9]
  - text: owner
  - textbox [ref=e10]
  - iframe [ref=e11]:
    - button "inner" [ref=f1e1]
"""


def test_snapshot_text() -> None:
    shot = take(RAW, "Order  417", "0:1", 600)
    handles = {e.handle: ref for ref, e in shot.elements.items()}
    r = {k: handles[k] for k in ("e3", "e4", "e5", "e9", "e10", "f1e1")}
    assert shot.text.splitlines() == [
        "page: Order 417",
        'alert: locked: tag "red" first',
        f"link \"a: 'b' it's\" {r['e3']}",
        f'textbox "code" {r["e4"]} = "k7"',
        f'combobox "size" {r["e5"]} = "large" options "small" "large"',
        "row: 562 | open see",
        f'button "see" {r["e9"]} disabled',
        f'textbox "owner" {r["e10"]}',
        f'button "inner" {r["f1e1"]}',
    ]
    assert shot.alerts == ('locked: tag "red" first',)
    assert shot.elements[r["e9"]].disabled


def test_references_are_drawn_per_snapshot() -> None:
    first, again = take(RAW, "", "0:1", 600), take(RAW, "", "0:1", 600)
    other = take(RAW, "", "0:2", 600)
    assert first == again
    assert set(first.elements) != set(other.elements)
    assert first.content == other.content


def test_more_than_a_hundred_elements() -> None:
    raw = "\n".join(f'- link "{i}" [ref=e{i}]' for i in range(150))
    numbers = [int(ref[1:]) for ref in take(raw, "", "0:1", 10_000).elements]
    assert len(set(numbers)) == 150
    assert sorted(numbers)[:100] == list(range(100))
    assert all(100 <= n <= 999 for n in sorted(numbers)[100:])


def test_long_pages_are_cut_from_the_text() -> None:
    rng = random.Random(0)
    prose = [" ".join(rng.choice(["kolu", "mara", "tavi"]) for _ in range(60)) for _ in range(40)]
    lines = [f"- paragraph [ref=e{i}]: {text}" for i, text in enumerate(prose)]
    lines[20:20] = ["- alert [ref=e900]: stop", '- textbox "all" [ref=e901]: ' + "word " * 300]
    lines += [f'- button "b{i}" [ref=f1e{i}]' for i in range(20)]
    shot = take("\n".join(lines), "Long", "0:1", 600)
    shown = shot.text.splitlines()
    assert sum(map(count_tokens, shown)) <= 600
    assert "alert: stop" in shown
    assert len(shot.elements) == 21
    assert shown[-1].startswith("cut: ")
    assert "0 elements; read shows more" in shown[-1]
    full = take("\n".join(lines), "Long", "0:1", 100_000)
    assert prose[-1] in full.text
    assert "cut:" not in full.text


def test_chromium_is_found_by_variable_download_and_path(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def program(path: Path) -> Path:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("#!/bin/sh\n")
        path.chmod(0o755)
        return path

    monkeypatch.setattr(chromium, "_FIXED", ())
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    monkeypatch.setenv("PLAYWRIGHT_BROWSERS_PATH", str(tmp_path / "cache"))
    monkeypatch.delenv(chromium.VARIABLE, raising=False)
    with pytest.raises(MissingExtra, match="playwright install chromium"):
        chromium.find_chromium()
    system = program(tmp_path / "bin" / "google-chrome")
    assert chromium.find_chromium() == system
    program(tmp_path / "cache/chromium-900/chrome-linux/chrome")
    newer = program(tmp_path / "cache/chromium_headless_shell-1255/x/headless_shell")
    assert chromium.find_chromium() == newer
    monkeypatch.setenv(chromium.VARIABLE, str(system))
    assert chromium.find_chromium() == system
    monkeypatch.setenv(chromium.VARIABLE, str(tmp_path / "none"))
    with pytest.raises(UserError, match="unset or mend"):
        chromium.find_chromium()
