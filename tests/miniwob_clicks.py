"""Solvers of MiniWoB++ pages that are mostly clicks: buttons, links, boxes, tabs, menus, lists."""

import re
from functools import cache

from miniwob_hands import Hands, between, quoted, solves

from benchmarks.worlds._miniwob_pages import folder


@solves("click-test")
async def the_button(hands: Hands, goal: str) -> None:
    await hands.click(None, "button")


async def button_or_key(hands: Hands, name: str) -> None:
    """Click a button; one that another covers is pressed by the keyboard."""
    nth = next(i for i, e in enumerate(hands.elements) if e.name == name)
    if (await hands.click(name, "button")).error:
        await hands.press(*["Tab"] * (nth + 1), "Enter")


@solves("click-test-2 click-test-transfer")
async def the_button_named(hands: Hands, goal: str) -> None:
    await button_or_key(hands, between(goal, "button ", r"\."))


@solves("click-button unicode-test")
async def the_button_quoted(hands: Hands, goal: str) -> None:
    await hands.click(quoted(goal)[0], "button")


@solves("click-button-sequence")
async def one_then_two(hands: Hands, goal: str) -> None:
    for name in ("ONE", "TWO"):
        await button_or_key(hands, name)


@solves("click-dialog")
async def close_it(hands: Hands, goal: str) -> None:
    await hands.click("Close", "button")


@solves("click-dialog-2")
async def dialog_button(hands: Hands, goal: str) -> None:
    name = quoted(goal)[0]
    await hands.click("Close" if name == "x" else name, "button")


@solves("click-link")
async def link(hands: Hands, goal: str) -> None:
    await hands.click(quoted(goal)[0], "button", "link")


@solves("click-widget")
async def widget(hands: Hands, goal: str) -> None:
    kind = quoted(goal)[0]
    await hands.click(None, "textbox" if kind.startswith("text") else kind)


@solves("click-option")
async def option(hands: Hands, goal: str) -> None:
    await hands.click(between(goal, "Select ", " and click"), "radio")
    await hands.click("Submit", "button")


@solves("click-checkboxes click-checkboxes-large click-checkboxes-transfer")
async def boxes(hands: Hands, goal: str) -> None:
    names = between(goal, "Select ", " and click").split(", ")
    for name in [] if names == ["nothing"] else names:
        await hands.call("check", hands.find(name, "checkbox")[0])
    await hands.click("Submit", "button")


@cache
def synonyms() -> list[list[str]]:
    """Words of like meaning, which an agent knows from its language and a script from the page."""
    source = (folder() / "miniwob" / "click-checkboxes-soft.html").read_text()
    listed = source.partition("SYNONYMS = [")[2].partition("];")[0]
    return [re.findall(r"'([^']*)'", row) for row in re.findall(r"\[(.*?)\]", listed)]


@solves("click-checkboxes-soft")
async def boxes_alike(hands: Hands, goal: str) -> None:
    words = between(goal, "similar to ", " and click").split(", ")
    alike = {w for row in synonyms() if set(row) & set(words) for w in row}
    for name in [e.name for e in hands.find(None, "checkbox") if e.name in alike]:
        await hands.call("check", hands.find(name, "checkbox")[0])
    await hands.click("Submit", "button")


@solves("choose-list")
async def choose(hands: Hands, goal: str) -> None:
    wanted = between(goal, "Select ", " from the list")
    await hands.call("select", hands.find(None, "combobox")[0], option=wanted)
    await hands.click("Submit", "button")


@solves("click-scroll-list")
async def choose_several(hands: Hands, goal: str) -> None:
    for wanted in between(goal, "Select ", " from the scroll list").split(", "):
        await hands.call("select", hands.find(None, "listbox")[0], option=wanted)
    await hands.click("Submit", "button")


@solves("click-collapsible click-collapsible-nodelay")
async def collapsible(hands: Hands, goal: str) -> None:
    await hands.click("Section", "tab")
    await hands.click("Submit", "button")


@solves("click-collapsible-2 click-collapsible-2-nodelay")
async def in_sections(hands: Hands, goal: str) -> None:
    wanted = quoted(goal)[0]
    for name in [e.name for e in hands.find("Section", "tab")]:
        await hands.click(name, "tab")
        for _ in range(10):
            if [e for e in hands.find(wanted, "button", "link") if e.name == wanted]:
                await hands.click(wanted, "button", "link")
                return
            await hands.call("wait", seconds="0.1")
            if len(hands.elements) > 3:
                break


@solves("click-tab")
async def tab(hands: Hands, goal: str) -> None:
    await hands.click(between(goal, "Click on ", r"\."), "tab")


@solves("click-tab-2 click-tab-2-easy click-tab-2-medium click-tab-2-hard")
async def in_tabs(hands: Hands, goal: str) -> None:
    wanted = quoted(goal)[0]
    for name in ["", *[e.name for e in hands.find(None, "tab")]]:
        if name:
            await hands.click(name, "tab")
        if [e for e in hands.find(wanted, "button", "link") if e.name == wanted]:
            await hands.click(wanted, "button", "link")
            return


@solves("click-menu")
async def menu_by_keys(hands: Hands, goal: str) -> None:
    """Clicking a parent would choose it; with keys one can walk past it."""
    names = [e.name for e in hands.elements]
    await hands.press("Tab")
    *parents, last = between(goal, "Select ", "$").split(">")
    for name in parents:
        await hands.press(*["ArrowDown"] * names.index(name), "ArrowRight")
        inner = hands.find(None, "menuitem")
        while len(inner) == len(hands.elements) and not (new := fresh(hands, names)):
            await hands.call("wait", seconds="0.1")
        names = new
    await hands.press(*["ArrowDown"] * names.index(last), "Enter")


SEEN: dict[int, set[str]] = {}


def fresh(hands: Hands, names: list[str]) -> list[str]:
    """Names that the menu shows since a parent was opened."""
    known = SEEN.setdefault(id(hands), set()) | set(names)
    found = [e.name for e in hands.elements if e.name not in known]
    SEEN[id(hands)] = known | set(found)
    return found


@solves("find-greatest")
async def cards(hands: Hands, goal: str) -> None:
    numbers = [int(e.name) for e in hands.find(None, "generic")]
    await hands.click(None, "generic", nth=numbers.index(max(numbers)))
    await hands.click("Submit", "button")


@solves("odd-or-even")
async def odd_or_even(hands: Hands, goal: str) -> None:
    numbers = [int(t) for t in hands.texts() if re.fullmatch(r"-?\d+", t)]
    for row, number in enumerate(numbers):
        await hands.click("Odd" if number % 2 else "Even", "button", nth=row)
    await hands.click("Submit", "button")


@solves("generate-number")
async def generate(hands: Hands, goal: str) -> None:
    limit = int((re.findall(r"\d+", goal) or ["0"])[0])
    tests = {"less": lambda n: n < limit, "greater": lambda n: n > limit}
    tests |= {"odd": lambda n: n % 2 == 1, "even": lambda n: n % 2 == 0}
    fits = next(test for word, test in tests.items() if f" {word} " in goal)
    for _ in range(40):
        await hands.click("Generate", "button")
        if fits(next(int(t) for t in hands.texts() if t.isdigit())):
            break
    await hands.click("Submit", "button")


@solves("buy-ticket")
async def ticket(hands: Hands, goal: str) -> None:
    prices = [int(e.name.partition("$")[2]) for e in hands.find("Book for", "button")]
    times = [re.findall(r"\d+", t) for t in hands.texts() if re.fullmatch(r"\d+h \d+m", t)]
    minutes = [60 * int(h) + int(m) for h, m in times]
    values = prices if "cost" in goal else minutes
    best = max(values) if "most expensive" in goal or "longest" in goal else min(values)
    await hands.click("Book for", "button", nth=values.index(best))
