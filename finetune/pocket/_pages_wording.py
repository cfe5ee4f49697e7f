"""How people ask for things on a page: many wordings, built from parts."""

from __future__ import annotations

import random
from collections.abc import Sequence

from finetune.pocket._pages_model import Item

__all__ = [
    "ACT",
    "ASK",
    "ASK_BARE",
    "CHECK",
    "CHOOSE",
    "CLICK",
    "COPY",
    "COPY_BARE",
    "EXTREME",
    "FIND",
    "FOCUS",
    "ONLY",
    "SEARCH",
    "SUBMIT",
    "TICK_ALL",
    "UNCHECK",
    "WHICH",
    "FILL_ALL",
    "fill_frame",
    "join",
    "object_of",
    "ordinal",
    "polite",
    "role_word",
    "shown",
    "verb",
]

_ROLES = {
    "button": ("button",),
    "link": ("link",),
    "textbox": ("field", "text field", "box", "text box", "textbox", "input"),
    "searchbox": ("search field", "search box", "field"),
    "spinbutton": ("number field", "field", "box"),
    "slider": ("slider",),
    "combobox": ("dropdown", "list", "menu", "drop-down list", "combobox"),
    "listbox": ("list", "list box"),
    "checkbox": ("checkbox", "box", "check box"),
    "radio": ("radio button", "radio", "option"),
    "tab": ("tab",),
    "menuitem": ("menu item", "entry", "item"),
    "switch": ("switch", "toggle"),
    "option": ("option", "entry", "item"),
    "treeitem": ("tree item", "entry", "item"),
    "generic": ("item", "element", "part"),
}
"""Words for a role; the first belongs to no other."""

_OBJECTS = (
    *("{s}",) * 6,
    *("the {r} {s}", "the {s} {r}", "the {s} {r}", "{r} {s}", "the {r} named {s}"),
    *("the {r} called {s}", "the {r} labelled {s}", "the {r} that says {s}"),
)
_VERBS = {
    "button": ("click", "press", "hit", "push", "tap", "click on", "use"),
    "link": ("click", "follow", "open", "go to", "click on", "visit"),
    "tab": ("click", "open", "go to", "switch to", "show", "click on"),
    "menuitem": ("click", "choose", "pick", "select", "open", "click on"),
    "treeitem": ("click", "open", "choose", "click on"),
    "option": ("click", "choose", "pick", "select", "take"),
    "switch": ("click", "flip", "toggle", "click on"),
}

CLICK = (
    *("{v} {o}",) * 8,
    *("{o}: {v} it", "what to {v} is {o}", "find {o} and {v} it", "{v} {o} once"),
)
CHECK = (
    *("tick {o}", "check {o}", "mark {o}", "select {o}", "choose {o}", "pick {o}", "set {o}"),
    *("put a tick at {o}", "{o} should be ticked", "make sure {o} is ticked", "turn {o} on"),
    *("{o} is to be checked", "{o}: yes", "activate {o}"),
)
UNCHECK = (
    *("untick {o}", "uncheck {o}", "clear {o}", "unselect {o}", "take the tick off {o}"),
    *("{o} should not be ticked", "turn {o} off", "{o}: no", "remove the tick at {o}"),
    *("{o} must not be checked", "make sure {o} is not ticked", "leave {o} unticked"),
)
FOCUS = ("click {o}", "click into {o}", "go to {o}", "put the cursor in {o}", "focus {o}")
_FILL = (
    *("enter {x} into {o}", "type {x} in {o}", "put {x} into {o}", "fill {o} with {x}"),
    *("set {o} to {x}", "write {x} in {o}", "in {o} type {x}", "{o} should be {x}"),
    *("change {o} to {x}", "{o}: {x}", "fill in {o} with {x}", "insert {x} in {o}"),
    *("for {o} enter {x}", "{x} belongs in {o}", "into {o} goes {x}", "let {o} be {x}"),
)
_NAMED = (
    *("enter {x} as {s}", "give {x} as {s}", "use {x} for {s}", "{s} is {x}", "with {s} {x}"),
    *("fill in {s} {x}", "the {s} is {x}", "enter {s} {x}", "take {x} as the {s}", "{s} = {x}"),
)
CHOOSE = (
    *("choose {x} in {o}", "select {x} from {o}", "pick {x} from {o}", "set {o} to {x}"),
    *("change {o} to {x}", "{o}: {x}", "{o} should be {x}", "take {x} from {o}"),
    *("in {o} choose {x}", "switch {o} to {x}", "for {o} take {x}", "pick {x} in {o}"),
)
ONLY = (
    *("enter {x}", "type {x}", "fill in {x}", "write {x}", "put in {x}", "enter the text {x}"),
    *("type {x} in the field", "put {x} in the box", "enter {x} in the field", "input {x}"),
    *("write {x} in the text field", "fill the field with {x}"),
)
SEARCH = ("search for {x}", "look for {x}", "look up {x}", "find {x}", "search {x}")
FIND = ("choose {x}", "select {x}", "pick {x}", "take {x}", "set it to {x}", "{x} should be chosen")
ASK = (
    *("what is the {c} of {k}", "tell the {c} of {k}", "which {c} has {k}", "{c} of {k}"),
    *("say what {c} {k} has", "find the {c} of {k}", "give the {c} of {k}", "{k}: what {c}"),
    *("for {k}, what is the {c}", "what {c} does {k} have", "look up the {c} of {k}"),
    *("answer with the {c} of {k}", "read out {k}'s {c}", "report the {c} for {k}"),
)
WHICH = (
    *(
        "which one has {c} {x}",
        "what has the {c} {x}",
        "who has {c} {x}",
        "name the one with {c} {x}",
    ),
    *("find what has {c} {x}", "tell which has {x} as {c}", "say whose {c} is {x}"),
    *("whose {c} is {x}", "{c} {x}: which is it", "give the name with {c} {x}"),
    *("for which is the {c} {x}", "answer with the one whose {c} is {x}"),
)
COPY = (
    *("enter the {c} of {k} into {o}", "type the {c} of {k} in {o}", "put {k}'s {c} into {o}"),
    *("fill {o} with the {c} of {k}", "copy the {c} of {k} to {o}", "set {o} to the {c} of {k}"),
    *("{o} should be the {c} of {k}", "in {o} write the {c} of {k}", "use the {c} of {k} for {o}"),
    *("find the {c} of {k} and enter it in {o}", "write {k}'s {c} in {o}", "{o}: the {c} of {k}"),
)
ASK_BARE = (
    *("what is the {c}", "tell the {c}", "which {c} is shown", "say the {c}", "find the {c}"),
    *("give the {c}", "{c}?", "look up the {c}", "answer with the {c}", "read out the {c}"),
    *("report the {c}", "what does it say for {c}", "what {c} stands there"),
)
COPY_BARE = (
    *(
        "enter the {c} into {o}",
        "type the {c} in {o}",
        "put the {c} into {o}",
        "copy the {c} to {o}",
    ),
    *("fill {o} with the {c}", "set {o} to the {c}", "{o} should be the {c}", "{o}: the {c}"),
    *("in {o} write the {c}", "use the {c} for {o}", "read the {c} and enter it in {o}"),
    *("find the {c} and type it in {o}",),
)
EXTREME = (
    *("which one has the {m} {c}", "name the one with the {m} {c}", "what has the {m} {c}"),
    *("whose {c} is {m}", "find the {m} {c} and say whose it is", "tell which {c} is {m}, by name"),
)
ACT = (
    *("{v} {a} for {k}", "{v} {a} in the row of {k}", "{v} {a} of {k}", "{v} {a} next to {k}"),
    *("for {k} {v} {a}", "{v} {a} at {k}", "{v} {k}'s {a}", "{v} {a} beside {k}"),
    *("in the line of {k} {v} {a}", "{k}: {v} {a}", "{v} {a} that belongs to {k}"),
    *("find {k} and {v} {a} there",),
)
SUBMIT = (
    "submit",
    "submit it",
    "submit the form",
    "send it off",
    "confirm",
    "finish with the button",
)
TICK_ALL = ("tick {l}", "check {l}", "select {l}", "mark {l}", "choose {l}", "tick these: {l}")
FILL_ALL = ("fill in {l}", "enter {l}", "fill the form with {l}", "use {l}", "give {l}", "set {l}")
_POLITE = (
    *("please {t}", "now {t}", "{t} please", "{t} now", "could you {t}", "here, {t}", "kindly {t}"),
    *("on this page {t}", "{t}, please", "I want you to {t}", "your task: {t}", "next, {t}"),
)
_JOINTS = (", ", " and ", " then ", ". ", ", then ", " and then ", "; ", ", and ", " and also ")
_NUMBERS = ("first", "second", "third", "fourth", "fifth", "sixth")
_ENDS = ("1st", "2nd", "3rd", "4th", "5th", "6th")


def shown(rng: random.Random, text: str) -> str:
    """A name or a value as a request writes it, in quotes or not."""
    quoted = rng.random() < 0.45 or text.lower() in (*_NUMBERS, "last", "only")
    return f'"{text}"' if quoted else text


def role_word(rng: random.Random, role: str, exact: bool = False) -> str:
    """A word for a role; with ``exact``, the one that means no other."""
    return _ROLES[role][0] if exact else rng.choice(_ROLES[role])


def object_of(rng: random.Random, item: Item, exact: bool) -> str:
    """What a request calls an element; ``exact`` if its name alone could mean another."""
    frame = rng.choice(_OBJECTS)
    while exact and "{r}" not in frame:
        frame = rng.choice(_OBJECTS)
    return frame.format(r=role_word(rng, item.role, exact), s=shown(rng, item.name))


def verb(rng: random.Random, role: str) -> str:
    """What is done to an element by clicking it."""
    return "click" if rng.random() < 0.3 else rng.choice(_VERBS.get(role, ("click", "click on")))


def fill_frame(rng: random.Random, named: bool) -> str:
    """A wording for filling a field; with ``named``, also those with its bare name."""
    return rng.choice((*_FILL, *_NAMED) if named else _FILL)


def ordinal(rng: random.Random, index: int, count: int) -> str:
    """Which of several, counted from 0."""
    if index == count - 1 and rng.random() < 0.4:
        return "last"
    return (_NUMBERS if rng.random() < 0.5 else _ENDS)[index]


def join(rng: random.Random, clauses: Sequence[str]) -> str:
    """Several requests as one."""
    if len(clauses) > 2 and rng.random() < 0.5:
        last = rng.choice((" and ", ", then ", " and then ", ", and finally ", ". then "))
        return ", ".join(clauses[:-1]) + last + clauses[-1]
    joint = rng.choice(_JOINTS)
    return joint.join(clauses)


def polite(rng: random.Random, task: str, names: str) -> str:
    """Some politeness, a capital and a full stop, each in some cases.

    Args:
        names: What stands on the page: a request that begins with any of it keeps its letters.
    """
    if rng.random() < 0.25:
        task = rng.choice(_POLITE).format(t=task)
    first = task.split(" ", 1)[0].strip('",:.')
    if rng.random() < 0.4 and first not in names:
        task = task[0].upper() + task[1:]
    return task + rng.choice((".", ".", "!", "")) if rng.random() < 0.4 else task
