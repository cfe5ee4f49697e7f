"""Plain pages with plain requests: click this, type that there, look this up, stop when it is done.

A page is drawn as data, several requests are drawn on it, and each comes with what was done for it
before and the call that is due. Words are made up, so that only how a request, a page and a call
go together can be learnt. What is *not* here: more than one page a request, keys, dates, dragging,
and anything that has to be seen.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import groupby

from finetune.pocket import _pages_wording as wording
from finetune.pocket._pages_draw import Maker, controls
from finetune.pocket._pages_model import Page
from finetune.pocket._pages_reading import reading
from finetune.pocket._pages_tables import listed
from finetune.pocket._pages_tasks import Step, Tasks
from finetune.pocket.office import Words

__all__ = ["WEB_TOOLS", "Asked", "draw_page", "plain_row"]

WEB_TOOLS = (
    "click element ref",
    "fill element ref text",
    "select element ref option",
    "check element ref checked?",
    "press key",
    "navigate url",
    "back",
    "wait seconds",
    "read",
    "finish answer?",
)

_LISTED = 0.3
_ON_CONTROLS = {"pick": 0.3, "copy": 0.27, "form": 0.27, "stop": 0.16}
_ON_LISTED = {"pick": 0.08, "copy": 0.06, "form": 0.12, "stop": 0.1, "table": 0.64}
_SIMPLE = {"pick": 0.65, "copy": 0.35}


@dataclass(frozen=True)
class Asked:
    """A request on a page.

    Attributes:
        done: Earlier calls without references, each with the first line of its result.
        task: The request.
        call: The call that is due.
        said: What is said before the call: the facts that decide it, empty where there are none.
        skill: ``pick``, ``copy``, ``form``, ``table`` or ``stop``.
    """

    done: tuple[str, ...]
    task: str
    call: str
    said: str = ""
    skill: str = "pick"


def plain_row(words: Words, count: int, simple: bool = False) -> tuple[str, list[Asked]]:
    """A page as the browser tool shows it, and ``count`` requests.

    Args:
        simple: A small page, and requests of one step: what training begins with.
    """
    page = draw_page(words, simple)
    return page.text(), [_asked(words, page, simple) for _ in range(count)]


def draw_page(words: Words, simple: bool = False) -> Page:
    """A page as data."""
    maker = Maker(words)
    if not simple and maker.chance(_LISTED):
        return listed(maker)
    return controls(maker, simple)


def _asked(words: Words, page: Page, simple: bool) -> Asked:
    tasks = Tasks(words, page)
    shares = _SIMPLE if simple else _ON_LISTED if page.entries else _ON_CONTROLS
    while True:
        skill = words.rng.choices(list(shares), list(shares.values()))[0]
        if skill in ("form", "stop"):
            steps, at = _many(tasks, stop=skill == "stop")
        else:
            step = _one(tasks, skill)
            steps, at = [step] if step else [], 0
        if steps and not (simple and steps[0].said):
            return _request(tasks, steps, at)


def _one(tasks: Tasks, skill: str) -> Step | None:
    if skill == "table":
        return reading(tasks)
    return tasks.pick() if skill == "pick" else tasks.copy()


def _many(tasks: Tasks, stop: bool) -> tuple[list[Step], int]:
    """Several steps of one request, and how many of them are done."""
    rng = tasks.rng
    if stop and rng.random() < 0.4:
        step = reading(tasks) if tasks.page.entries and rng.random() < 0.6 else tasks.pick()
        acts = step is not None and step.call.startswith("click")
        return ([step], 1) if step and acts else ([], 0)
    met, unmet = tasks.several(
        rng.choice((1, 1, 2, 2, 3) if stop else (0, 0, 1, 1, 2)),
        0 if stop else rng.choice((1, 1, 2, 2)),
    )
    looked = reading(tasks) if tasks.page.entries and not stop and rng.random() < 0.5 else None
    if looked and looked.ref in [s.ref for s in met]:
        looked = None
    steps = [*met, *([looked] if looked else unmet)]
    submit = None if looked and not looked.past else tasks.submit()
    if submit and rng.random() < 0.75 and submit.past not in [s.past for s in steps]:
        steps.append(submit)
    done = len(steps) if stop else len(met)
    distinct = len({s.past for s in steps}) == len(steps) > 1  # else the history would not tell
    return (steps, done) if distinct and (stop or done < len(steps)) else ([], 0)


def _request(tasks: Tasks, steps: list[Step], at: int) -> Asked:
    rng = tasks.rng
    task = wording.join(rng, _clauses(tasks, steps))
    done = tuple(f"{s.past} -> {r}" for s, r in zip(steps, _results(tasks, at), strict=False))
    task = wording.polite(rng, task, tasks.page.text())
    if at == len(steps):
        return Asked(done, task, "finish", skill="stop")
    due = steps[at]
    several = len(steps) > 1 and due.skill != "table"
    return Asked(done, task, due.call, due.said, "form" if several else due.skill)


def _results(tasks: Tasks, count: int) -> list[str]:
    """What came back: mostly ``ok``, at last what the page's status says, if it says something."""
    rng, words = tasks.rng, tasks.words
    told = [i.name for i in tasks.page.items if i.role == "status"]
    earlier = [
        f"{words.word()} {words.word()}" if rng.random() < 0.1 else "ok" for _ in range(count - 1)
    ]
    last = told[0] if told and rng.random() < 0.7 else "ok"
    return [*earlier, last][:count]


def _clauses(tasks: Tasks, steps: list[Step]) -> list[str]:
    """The requests for the steps; what is of one kind is often asked for at once."""
    rng = tasks.rng
    found: list[str] = []
    for act, group in groupby(steps, key=lambda s: s.past.split(" ", 1)[0]):
        alike = list(group)
        frames = {"check": wording.TICK_ALL, "fill": wording.FILL_ALL}.get(act)
        if frames and len(alike) > 1 and all(s.brief for s in alike) and rng.random() < 0.6:
            listed = ", ".join(s.brief for s in alike[:-1])
            found.append(rng.choice(frames).format(l=f"{listed} and {alike[-1].brief}"))
        else:
            found += [s.text for s in alike]
    return found
