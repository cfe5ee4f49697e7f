"""The report: one file without scripts or addresses, honest about what was not measured."""

import json
import re

import pytest

from benchmarks.report import ReportData, write


def figures(success: float | None, interval: list[float] | None) -> dict:
    return {
        "success": success,
        "interval": interval,
        "recovered": 0.1,
        "unknown": 0,
        "steps": 4.2,
        "calls": 4.0,
        "tokens": 1900.0,
        "seconds": 0.4,
        "n": 60,
    }


DATA = ReportData(
    title="Instar on toy/0",
    facts={"model": "pocket", "seed": "0"},
    generations=[
        {"label": "g0", "note": "learnt nothing", "id": "g0-a", "status": "retired"}
        | figures(0.13, [0.07, 0.24]),
        {"label": "g1", "note": "memory", "id": "g1-b", "status": "active"}
        | figures(0.62, [0.49, 0.73]),
    ],
    arms={
        "base": figures(0.13, [0.07, 0.24]),
        "memory": figures(0.62, [0.49, 0.73]),
        "adapter": figures(None, None),
    },
    paired=[
        {
            "a": "base",
            "b": "memory",
            "difference": 0.49,
            "interval": [0.35, 0.6],
            "p": 1e-9,
            "n": 60,
        }
    ],
    memories=[
        {
            "when": "refund order $1",
            "content": 'tag $1 "<script>alert(1)</script>"; refund $1',
            "kind": "workflow",
            "support": 3,
            "generation": "g1-b",
        }
    ],
    training=[
        {
            "turn": "1",
            "adapter": "abc123",
            "reason": "",
            "rows": 320,
            "dropped": {"score fail": 71},
            "loss": [[1, 2.0], [2, 1.0], [3, 0.5]],
            "seconds": 74.0,
        }
    ],
    verdicts=[
        {
            "turn": "1",
            "generation": "g1-b",
            "kind": "memory",
            "decision": "promote",
            "difference": 0.4,
            "interval": [0.3, 0.5],
            "n": 60,
            "reasons": ["clean success is significantly better"],
            "groups": [
                {
                    "name": "a_group_whose_name_is_much_longer_than_its_column",
                    "figure": {"difference": 0.5, "interval": [-0.2, 0.9], "n": 8},
                    "level": 0.95,
                    "blocks": False,
                }
            ],
        }
    ],
    ledger={"shown": 5, "internalised": 3, "retired": 1},
    curriculum=[
        {
            "turn": "1",
            "round": "2",
            "tasks": 64,
            "proposed": 9,
            "proposers": {"neighbours": 5, "from_failures": 4},
            "refused": 4,
            "refusals": {f"reason {i}, told in a rather long sentence": 1 for i in range(4)},
            "groups": {"refund": {"clean": 3, "known": 4}},
            "selector": {"values": {"refund": 0.25}},
        }
    ],
    moults=[
        {
            "turn": "1",
            "reason": "",
            "clusters": [
                {
                    "name": "refund",
                    "n": 10,
                    "kept_clean": 0.9,
                    "shed_clean": 0.8,
                    "probability": 0.83,
                    "decision": "internalised",
                    "reason": "less than 10 points worse",
                }
            ],
            "kept": 5,
            "internalised": 3,
            "forgotten": 1,
            "back": 2,
            "tokens": {"with": 185.0, "without": 64.0},
            "lighter": [206.0, 184.0],
            "decision": "promote",
        }
    ],
    stages=[
        {"turn": "1", "stage": "practise_1", "episodes": 128, "seconds": 61.0, "tokens": 250_000}
    ],
    leakage={
        "clean": False,
        "memories": 9,
        "rows": 30,
        "tasks": 4,
        "protected": 120,
        "leaks": [{"kind": "memory", "name": "i1", "via": "t1", "task": "held-7", "why": "split"}],
        "gaps": [],
    },
)


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    return write(tmp_path_factory.mktemp("run") / "r1", DATA)


def test_it_shows_everything_that_was_measured(written):
    page = written.html.read_text()
    for text in ("13 %", "62 %", "49 % to 73 %", "+49.0", "+35.0 to +60.0", "&lt; 0.0001"):
        assert text in page
    for text in ("refund order $1", "abc123", "320", "71 score fail", "promote", "1 min 01 s"):
        assert text in page
    for text in ("206 to 184", "185 to 64", "90 to 80 %", "<b>3</b> are shed", "4 reasons"):
        assert text in page
    for text in ("5 neighbours, 4 from failures", "75 %<small>4</small>", "0.25", "n 8"):
        assert text in page
    for text in ("250,000", "1 leaks", "held-7"):
        assert text in page


def test_it_is_self_contained_and_runs_nothing(written):
    page = written.html.read_text()
    assert not re.findall(r"(?:src|href|url\()\s*=?\s*[\"']?(?:https?:)?//", page)
    assert "<script" not in page
    assert "&lt;script&gt;" in page


def test_what_was_not_measured_is_not_zero(written):
    page = written.html.read_text()
    assert "not measured" in page
    assert re.search(r">adapter</td><td class=\"n\"><b>not measured</b>", page)


def test_the_picture_and_the_data_lie_beside_it(written):
    assert written.png.read_bytes().startswith(b"\x89PNG")
    again = ReportData(**json.loads((written.html.parent / "report.json").read_text()))
    assert again == DATA
    names = {p.name for p in written.html.parent.iterdir()}
    assert names == {"report.html", "report.png", "report.json"}


def test_an_empty_run_makes_a_page_too(tmp_path):
    files = write(tmp_path, ReportData(title="Nothing yet"))
    assert "No two generations were measured." in files.html.read_text()


@pytest.mark.browser
async def test_it_fits_a_narrow_and_a_wide_window(written):
    from playwright.async_api import async_playwright

    from tools.chromium import FLAGS, find_chromium

    async with async_playwright() as driver:
        browser = await driver.chromium.launch(executable_path=find_chromium(), args=list(FLAGS))
        page = await browser.new_page()
        await page.goto(written.html.as_uri())
        await page.evaluate("document.querySelectorAll('details').forEach(x => x.open = true)")
        for width in (400, 1300):
            await page.set_viewport_size({"width": width, "height": 900})
            wide = await page.evaluate("document.documentElement.scrollWidth")
            assert wide <= width
        assert await page.locator("svg").count() >= 6
        await browser.close()


def test_those_who_learn_nothing_are_a_line_in_every_chart(tmp_path):
    levels = {"do_nothing": 0.0, "rule_blind": 0.12, "recovering": 0.121}
    files = write(tmp_path, DATA.model_copy(update={"levels": levels}))
    text = files.html.read_text()
    assert text.count('class="level"') == 4
    assert text.count("rule blind, recovering 12 %") == text.count("do nothing 0 %") == 2
    with_lines = files.png.read_bytes()
    assert with_lines != write(tmp_path / "bare", DATA).png.read_bytes()
    assert 'class="level"' not in (tmp_path / "bare" / "report.html").read_text()
