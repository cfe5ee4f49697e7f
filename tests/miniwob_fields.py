"""Solvers of MiniWoB++ pages that are mostly fields: typing, copying, dates, sliders, keys."""

import re
from datetime import datetime

from miniwob_hands import Hands, between, quoted, solves


@solves("enter-text enter-text-dynamic")
async def text(hands: Hands, goal: str) -> None:
    await hands.fill(quoted(goal)[0])
    await hands.click("Submit", "button")


@solves("enter-text-2")
async def text_in_case(hands: Hands, goal: str) -> None:
    word = quoted(goal)[0]
    await hands.fill(word.upper() if "upper case" in goal else word.lower())
    await hands.click("Submit", "button")


@solves("enter-password")
async def password_twice(hands: Hands, goal: str) -> None:
    for nth in (0, 1):
        await hands.fill(quoted(goal)[0], nth=nth)
    await hands.click("Submit", "button")


@solves("login-user")
async def login(hands: Hands, goal: str) -> None:
    for nth, value in enumerate(quoted(goal)[:2]):
        await hands.fill(value, nth=nth)
    await hands.click("Login", "button")


@solves("focus-text")
async def focus(hands: Hands, goal: str) -> None:
    await hands.click(None, "textbox")


@solves("focus-text-2")
async def focus_nth(hands: Hands, goal: str) -> None:
    await hands.click(None, "textbox", nth=int(re.findall(r"\d", goal)[0]) - 1)


@solves("enter-date")
async def date(hands: Hands, goal: str) -> None:
    month, day, year = re.findall(r"(\d+)/(\d+)/(\d+)", goal)[0]
    await hands.call("fill", hands.elements[0], text=f"{year}-{month}-{day}")
    await hands.click("Submit", "button")


@solves("enter-time")
async def time(hands: Hands, goal: str) -> None:
    said = re.findall(r"(\d+:\d+)\s*([AP]M)", goal)[0]
    found = datetime.strptime(" ".join(said), "%I:%M %p")
    await hands.call("fill", hands.elements[0], text=found.strftime("%H:%M"))
    await hands.click("Submit", "button")


@solves("choose-date choose-date-easy choose-date-medium choose-date-nodelay")
async def pick_date(hands: Hands, goal: str) -> None:
    wanted = datetime.strptime(re.findall(r"\d+/\d+/\d+", goal)[0], "%m/%d/%Y")
    await hands.click(None, "textbox")
    await turn_to(hands, wanted)
    await hands.click("Submit", "button")


async def turn_to(hands: Hands, wanted: datetime) -> None:
    """Choose a day in the calendar that is open."""
    for _ in range(14):
        shown = next(t for t in hands.texts() if re.search(r"[A-Z][a-z]+.* \d{4}", t))
        at = datetime.strptime(shown.replace("\N{NO-BREAK SPACE}", " "), "%B %Y")
        if (at.year, at.month) == (wanted.year, wanted.month):
            break
        await hands.click("Next" if at < wanted else "Prev")
    await hands.click(str(wanted.day), "link")


@solves("simple-arithmetic")
async def arithmetic(hands: Hands, goal: str) -> None:
    said = re.search(r"(\d+) *([-+x*]) *(\d+)", hands.seen)
    assert said
    a, b = int(said[1]), int(said[3])
    await hands.fill(str({"+": a + b, "-": a - b}.get(said[2], a * b)))
    await hands.click("Submit", "button")


@solves("simple-algebra")
async def algebra(hands: Hands, goal: str) -> None:
    said = re.search(r"(\w+) *([-+]) *(\w+) *= *(-?\d+)", hands.seen)
    assert said
    left, sign, right, result = said[1], said[2], said[3], int(said[4])
    if sign == "+":
        x = result - int(right if left == "x" else left)
    else:
        x = result + int(right) if left == "x" else int(left) - result
    await hands.fill(str(x))
    await hands.click("Submit", "button")


@solves("guess-number")
async def guess(hands: Hands, goal: str) -> None:
    low, high = 0, 9
    while not hands.episode.done() and low <= high:
        middle = (low + high) // 2
        await hands.fill(str(middle))
        await hands.click("Submit", "button")
        if "higher than" in hands.seen:
            low = middle + 1
        else:
            high = middle - 1


@solves("find-word")
async def find_word(hands: Hands, goal: str) -> None:
    nth = int(re.findall(r"(\d+)\w\w word", goal)[0])
    words = hands.texts()[0].split()
    await hands.fill(re.sub(r"\W", "", words[nth - 1]))
    await hands.click("Submit", "button")


@solves("use-spinner")
async def spinner(hands: Hands, goal: str) -> None:
    await hands.fill(between(goal, "Select ", " with"))
    await hands.click("Submit", "button")


@solves("scroll-text")
async def last_word(hands: Hands, goal: str) -> None:
    await hands.call("read")
    shown = [e for e in hands.find(None, "textbox") if e.value]
    await hands.fill(re.sub(r"\W", "", shown[0].value.split()[-1]), nth=-1)
    await hands.click("Submit", "button")


@solves("scroll-text-2")
async def scroll_by_key(hands: Hands, goal: str) -> None:
    await hands.click(None, "textbox")
    await hands.press("Control+End" if "bottom" in goal else "Control+Home")
    await hands.click("Submit", "button")


async def copy_by_keys(hands: Hands, nth: int) -> None:
    """With the keyboard, because an observation does not show a space at the end."""
    boxes = hands.find(None, "textbox")
    source, target = boxes[nth], next(i for i, e in enumerate(boxes) if not e.value)
    await hands.call("click", source)
    await hands.press("Control+a", "Control+c")
    await hands.click(None, "textbox", nth=target)
    await hands.press("Control+v")
    await hands.click("Submit", "button")


@solves("copy-paste")
async def copy_only(hands: Hands, goal: str) -> None:
    boxes = hands.find(None, "textbox")
    await copy_by_keys(hands, next(i for i, e in enumerate(boxes) if e.value))


@solves("copy-paste-2")
async def copy_nth(hands: Hands, goal: str) -> None:
    await copy_by_keys(hands, int(re.findall(r"(\d)\w\w text area", goal)[0]) - 1)


@solves("terminal")
async def terminal(hands: Hands, goal: str) -> None:
    await hands.call("wait", seconds="0.3")  # it takes the focus late
    await hands.type("ls")
    await hands.press("Enter")
    ending = (re.findall(r"extension (\.[\w.]+)", goal) or [""])[0]
    listed = [w for t in hands.texts() for w in t.split()]
    files = [w for w in listed if (w.endswith(ending) if ending else "." not in w)]
    await hands.type(f"rm {files[-1]}")
    await hands.press("Enter")


@solves("read-table")
async def table(hands: Hands, goal: str) -> None:
    rows = dict(t.split(" | ") for t in hands.texts() if " | " in t)
    key = next(k for k in sorted(rows, key=len, reverse=True) if f"{k} " in goal)
    await hands.fill(rows[key])
    await hands.click("Submit", "button")


@solves("read-table-2")
async def table_twice(hands: Hands, goal: str) -> None:
    rows = dict(t.split(" | ") for t in hands.texts() if " | " in t)
    for nth in (0, 1):
        label = hands.find(None, "textbox")[nth].name.rstrip(":")
        await hands.fill(rows[label], nth=nth)
    await hands.click("Submit", "button")


@solves("multi-layouts multi-orderings")
async def movies(hands: Hands, goal: str) -> None:
    genre, name, year = re.findall(r"for (.*) movies directed by (.*) from year (\d+)", goal)[0]
    values = {"genre": genre, "director": name, "year": year, "date": year}
    for nth, field in enumerate(hands.find(None, "textbox")):
        key = next(k for k in values if k in field.name.lower())
        await hands.fill(values[key], nth=nth)
    await hands.call("click", [e for e in hands.elements if e.role != "textbox"][-1])


@solves("use-autocomplete use-autocomplete-nodelay")
async def autocomplete(hands: Hands, goal: str) -> None:
    start, *end = quoted(goal)
    await hands.fill(start)
    for _ in range(20):
        found = [
            e for e in hands.elements if e.name.startswith(start) and e.role not in ("textbox",)
        ]
        if found:
            break
        await hands.call("wait", seconds="0.2")
    wanted = next(e for e in found if e.name.endswith("".join(end)))
    await hands.call("click", wanted)
    await hands.click("Submit", "button")


@solves("use-colorwheel")
async def color(hands: Hands, goal: str) -> None:
    name = between(goal, "Select ", " with the color")
    await hands.fill(COLORS[name])
    await hands.press("Tab")
    await hands.click("Submit", "button")


COLORS = {
    **{"red": "FF0000", "blue": "0000FF", "olive": "808000", "lime": "00FF00", "black": "000000"},
    **{"white": "FFFFFF", "grey": "808080", "gray": "808080", "purple": "800080"},
    **{"orange": "FFA500", "yellow": "FFFF00", "cyan": "00FFFF", "pink": "FFC0CB"},
    **{"magenta": "FF00FF", "green": "008000", "aqua": "00FFFF", "navy": "000080"},
    **{"teal": "008080", "maroon": "800000", "silver": "C0C0C0", "fuchsia": "FF00FF"},
    **{"brown": "A52A2A", "violet": "EE82EE", "indigo": "4B0082", "gold": "FFD700"},
}


async def slide(hands: Hands, nth: int, wanted: int) -> None:
    """Move the slider that has the focus; its value is the nth number shown."""
    at = [int(t) for t in hands.texts() if re.fullmatch(r"-?\d+", t)][nth]
    key = "ArrowRight" if wanted > at else "ArrowLeft"
    await hands.press(*[key] * abs(wanted - at))


@solves("use-slider use-slider-2")
async def sliders(hands: Hands, goal: str) -> None:
    said = re.search(r"\[(.*)\]|Select (-?\d+)", goal)
    assert said
    for nth, wanted in enumerate((said[1] or said[2]).split(",")):
        await hands.press("Tab")
        await slide(hands, nth, int(wanted))
    await hands.click("Submit", "button")


@solves("form-sequence")
async def slider_and_box(hands: Hands, goal: str) -> None:
    wanted, nth = re.findall(r"Select (-?\d+) .* the (\d)", goal)[0]
    await hands.press("Tab")
    await slide(hands, 0, int(wanted))
    await hands.click(None, "checkbox", nth=int(nth) - 1)
    await hands.click("Submit", "button")


@solves("form-sequence-3")
async def list_and_button(hands: Hands, goal: str) -> None:
    wanted = between(goal, "Choose ", " from the")
    await hands.call("select", hands.find(None, "combobox")[0], option=wanted)
    await hands.click(quoted(goal)[0], "button")


@solves("text-transform")
async def captcha(hands: Hands, goal: str) -> None:
    field = hands.find(None, "textbox")[0]
    await hands.fill("".join((*hands.texts(), field.name)))
    await hands.click("Submit", "button")


HUES = ("", "red", "orange", "yellow", "green", "blue", "purple")


@solves("text-editor")
async def editor(hands: Hands, goal: str) -> None:
    """The buttons have no names; colours stand in the order of Quill's palette."""
    text = hands.texts()[0]
    await hands.press(*["Tab"] * 4)  # past the three buttons
    word = re.search(r"give the text (.*) the (?:style|color)", goal)
    if word:
        before = re.split(rf"(?:^| ){re.escape(word[1])}(?: |$)", text)[0]
        start = len(before) + bool(before)
        await hands.press("Control+Home", *["ArrowRight"] * start)
        await hands.press(*["Shift+ArrowRight"] * len(word[1]))
    else:
        await hands.press("Control+a")
    style = re.findall(r"(?:style|color) (\w+)", goal)[0]
    if style in HUES:
        await hands.click(None, "generic")
        await hands.click(None, "generic", nth=1 + HUES.index(style))
    else:
        await hands.press(f"Control+{style[0]}")
    await hands.click("Submit", "button")


@solves("form-sequence-2")
async def radio_and_text(hands: Hands, goal: str) -> None:
    radio, field = (int(n) - 1 for n in re.findall(r"(\d)(?:st|nd|rd)", goal))
    await hands.click(None, "radio", nth=radio)
    await hands.fill(quoted(goal)[0], nth=field)
    await hands.click("Submit", "button")
