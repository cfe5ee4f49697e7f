"""Pocket's made-up web pages: what the real browser tool shows of them, and requests that hold."""

from __future__ import annotations

import html
import random
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from aiohttp import web

from finetune.pocket import pages
from finetune.pocket._pages_model import Item, Page
from finetune.pocket.office import Words
from finetune.pocket.pages import Asked, draw_page, plain_row
from finetune.pocket.tokenizer import load_tokenizer
from tools._snapshot import count_tokens
from tools.browser import Browser

PAGES = 60
_CALL = re.compile(r'(click|fill|select|check) "([^"]*)" (e\d+)(?: "([^"]+)")?')
_FINISH = re.compile(r'finish(?: "[^"]+")?')
_COUNTED = re.compile(r'\d "([^"]*)"')
_PLAIN = {"text": "p", "heading": "h2", "status": "div role=status", "alert": "div role=alert"}
_NATIVE = {
    "textbox": "input",
    "searchbox": "input type=search",
    "spinbutton": "input type=number",
    "slider": "input type=range max=100",
    "checkbox": "input type=checkbox",
    "radio": "input type=radio",
    "link": 'a href="#"',
    "button": "button",
    "generic": 'div style="cursor: pointer"',
}


def _rows(seeds: range, simple: bool = False) -> Iterator[tuple[str, list[Asked]]]:
    for seed in seeds:
        yield plain_row(Words(random.Random(seed), False), 4, simple)


def _named(item: Item) -> str:
    states = {"checked": "checked", "disabled": "disabled"}
    aria = " ".join(states.get(s, f"aria-{s}=true") for s in item.states)
    return f'aria-label="{html.escape(item.name)}" {aria}' if item.name else aria


def _select(item: Item, inner: list[Item]) -> str:
    options = item.options or tuple(o.name for o in inner)
    many = "" if item.options else f"multiple size={len(inner)}"
    written = "".join(
        f"<option {'selected' if o in item.value else ''}>{html.escape(o)}</option>"
        for o in options
    )
    return f"<select {many} {_named(item)}>{written}</select>"


def _acting(item: Item, label: bool = False) -> str:
    """An element; ``label`` if its name may stand beside it."""
    if item.role not in _NATIVE:
        aria = _named(item).replace("checked", "aria-checked=true")
        return f"<div role={item.role} tabindex=0 {aria}>{html.escape(item.name)}</div>"
    start = f"<{_NATIVE[item.role]}"
    if item.role in ("link", "button", "generic"):
        tag = _NATIVE[item.role].split()[0]
        aria = _named(item) if item.role == "button" else ""
        return f"{start} {aria}>{html.escape(item.name)}</{tag}>"
    if item.role in ("checkbox", "radio") and item.name and label:
        return f"<label>{start} {' '.join(item.states)}>{html.escape(item.name)}</label>"
    value = f'value="{html.escape(item.value[0])}"' if item.value else ""
    return f"{start} {_named(item)} {value}>"


def _row(item: Item) -> str:
    cells = [_acting(c) if isinstance(c, Item) else html.escape(c) for c in item.cells]
    return "<table><tr>" + "".join(f"<td>{c}</td>" for c in cells) + "</tr></table>"


def _html(page: Page) -> str:
    """The page as HTML, its items one after the other."""
    parts = [f"<!doctype html><title>{html.escape(page.title)}</title>"]
    items = list(page.items)
    while items:
        item = items.pop(0)
        if item.role in ("combobox", "listbox"):
            inner = []
            while item.role == "listbox" and items and items[0].role == "option":
                inner.append(items.pop(0))
            parts.append(_select(item, inner))
        elif item.role == "row":
            parts.append(_row(item))
        elif item.role == "img":
            parts.append(f'<img alt="{html.escape(item.name)}">')
        elif item.role in _PLAIN:
            tag = _PLAIN[item.role]
            parts.append(f"<{tag}>{html.escape(item.name)}</{tag.split()[0]}>")
        else:
            parts.append(_acting(item, label=not items or bool(items[0].name)))
    return "\n".join(parts)


def _masked(text: str) -> list[str]:
    return re.sub(r'(?<=") e\d+', " e", text).splitlines()


@pytest.mark.browser
async def test_the_real_browser_shows_what_is_generated():
    drawn = [draw_page(Words(random.Random(s), False), s % 10 == 0) for s in range(PAGES)]
    application = web.Application()

    async def answer(request: web.Request) -> web.Response:
        text = _html(drawn[int(request.query["page"])])
        return web.Response(text=text, content_type="text/html")

    application.router.add_get("/", answer)
    runner = web.AppRunner(application, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    url = f"http://127.0.0.1:{runner.addresses[0][1]}/?page="
    wrong = []
    async with Browser() as browser:
        opened = await browser.open_page(f"{url}0")
        for number, page in enumerate(drawn):
            await opened.again(f"{url}{number}", number)
            seen = await opened.observe()
            if _masked(seen) != _masked(page.text()):
                wrong.append(f"{number}\n{page.text()}\n--- seen\n{seen}")
    await runner.cleanup()
    assert not wrong, "\n\n".join(wrong[:3])
    roles = {i.role for p in drawn for i in (*p.items, *p.elements())}
    assert {"row", "text", "heading", "status", "img", "listbox", "switch", "tab"} <= roles


def _holds(asked: Asked, lines: list[str]) -> bool:
    """Whether what is said stands on the page, or counts up to the element called."""
    if not re.match(r'1 "', asked.said):
        return all(x in lines for x in asked.said.split("\n") if x)
    call = _CALL.fullmatch(asked.call)
    assert call
    role = next(x.split(" ")[0] for x in lines if f'"{call[2]}" {call[3]}' in x)
    alike = [x for x in lines if x.startswith(f'{role} "')]
    names = _COUNTED.findall(asked.said)
    last = alike[len(names) - 1]
    return [x.split('"')[1] for x in alike[: len(names)]] == names and f'" {call[3]}' in last


def test_every_call_parses_and_means_an_element_of_the_page():
    for text, asks in _rows(range(400)):
        lines = text.splitlines()
        for asked in asks:
            assert _holds(asked, lines), asked
            call = _CALL.fullmatch(asked.call)
            if call is None:
                assert _FINISH.fullmatch(asked.call), asked
                continue
            found = [x for x in lines if re.match(rf'\w+ "{re.escape(call[2])}" {call[3]}\b', x)]
            assert len(found) == 1, asked
            assert " disabled" not in re.sub(r'"[^"]*"', "", found[0])
            assert call[4] or call[1] in ("click", "check")


def test_what_is_done_is_what_the_page_shows():
    for text, asks in _rows(range(300)):
        for line in (d for a in asks for d in a.done):
            act = re.match(r'fill "([^"]+)" "([^"]+)" -> ', line)
            if act:
                assert re.search(rf'"{re.escape(act[1])}" e\d+ = "{re.escape(act[2])}"', text), line


def test_values_come_from_the_request_or_the_facts():
    for _, asks in _rows(range(300)):
        for asked in asks:
            values = re.findall(r'^(?:fill "[^"]*" e\d+|finish) "([^"]+)"$', asked.call)
            assert all(v in asked.task or v in asked.said for v in values), asked


def test_same_seed_same_row():
    assert list(_rows(range(20))) == list(_rows(range(20)))
    assert list(_rows(range(20))) != list(_rows(range(20, 40)))


def test_all_skills_occur_and_many_wordings():
    asks = [a for _, asks in _rows(range(500)) for a in asks]
    skills = Counter(a.skill for a in asks)
    assert set(skills) == {"pick", "copy", "form", "table", "stop"}
    assert min(skills.values()) > 0.08 * len(asks)
    assert all((a.call == "finish") == (a.skill == "stop") for a in asks)
    assert len({a.task for a in asks}) > 0.98 * len(asks)
    assert {a.call.split(" ")[0] for a in asks} == {"click", "fill", "select", "check", "finish"}


def test_simple_rows_are_small():
    for text, asks in _rows(range(200), simple=True):
        assert 3 <= len(re.findall(r'" e\d+', text)) <= 8
        assert {a.skill for a in asks} <= {"pick", "copy"}
        assert not any(a.done or a.said for a in asks)


def test_rows_are_short_enough():
    tokenizer = load_tokenizer(Path(pages.__file__).parent / "model")
    lengths = []
    for text, asks in _rows(range(300)):
        assert count_tokens(text) < 560
        lengths += [
            len(tokenizer.encode("\n".join([text, *a.done, a.task, a.said, a.call]))) for a in asks
        ]
    lengths.sort()
    assert lengths[len(lengths) * 3 // 4] < 250
    assert lengths[int(len(lengths) * 0.99)] < 450
