"""Solvers of MiniWoB++ pages that are small applications: mail, search, flights, popups."""

import re
from datetime import datetime

from miniwob_fields import turn_to
from miniwob_hands import Hands, Line, quoted, solves


@solves("search-engine")
async def search(hands: Hands, goal: str) -> None:
    nth = int(re.findall(r"the (\d)\w\w search result", goal)[0]) - 1
    await hands.fill(quoted(goal)[0])
    await hands.click("Search", "button")
    await hands.click(str(nth // 3 + 1), "link")
    found = [e for e in hands.find(None, "link") if e.name not in ("First", "Last", "<", ">")]
    await hands.call("click", [e for e in found if not e.name.isdigit()][nth % 3])


@solves("email-inbox-delete email-inbox-important")
async def mail(hands: Hands, goal: str) -> None:
    """An opened mail has three icons without names: back, trash and star."""
    name = re.findall(r"email by (\w+)", goal)[0]
    await hands.click(name, "generic")
    await hands.click(None, "generic", "button", nth=1 if "trash" in goal else 2)


async def suggested(hands: Hands, text: str, ending: str = "") -> Line:
    """What a field suggests after some time."""
    for _ in range(20):
        fields = ("textbox", "searchbox", "combobox")
        found = [e for e in hands.find(text) if e.role not in fields and e.name.endswith(ending)]
        if found:
            return found[0]
        await hands.call("wait", seconds="0.2")
    raise AssertionError(f"nothing is suggested for {text}")


@solves("book-flight book-flight-nodelay")
async def flight(hands: Hands, goal: str) -> None:
    start, end, day = re.findall(r"from: (.*) to: (.*) on (\d+/\d+/\d+)", goal)[0]
    for nth, place in enumerate((start, end)):
        await hands.fill(place, nth=nth)
        sought = f"({place})" if re.fullmatch("[A-Z]{3}", place) else place
        await hands.call("click", await suggested(hands, sought))
    await hands.click(None, "textbox", nth=2)
    await turn_to(hands, datetime.strptime(day, "%m/%d/%Y"))
    await hands.click("Search", "button")
    await hands.call("read")
    prices = [int(e.name.partition("$")[2]) for e in hands.find("Book flight", "button")]
    times = [re.findall(r"\d+", t) for t in hands.texts() if re.fullmatch(r"\d+h \d+m", t)]
    values = prices if "cheapest" in goal else [60 * int(h) + int(m) for h, m in times]
    await hands.click("Book flight", "button", nth=values.index(min(values)))


@solves("login-user-popup")
async def login_past_popup(hands: Hands, goal: str) -> None:
    for nth, value in enumerate(quoted(goal)[:2]):
        for _ in range(2):
            await hands.fill(value, nth=nth)
            if not hands.find("Cancel", "button"):
                break
            await hands.click("Cancel", "button")
    await hands.click("OK", "button")
