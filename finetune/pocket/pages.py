"""Plain pages with plain requests: click this, type that there, tick these, choose from a list."""

from __future__ import annotations

from finetune.pocket.office import Words
from finetune.pocket.words import ROLES

__all__ = ["WEB_TOOLS", "plain_row"]

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

_CLICK = (
    'click the {role} "{name}"',
    'press the "{name}" {role}',
    'click on the "{name}" {role}.',
    'please click "{name}"',
    "click on the {name} {role}",
    'select the {role} labelled "{name}"',
    "press {name}",
)
_FILL = (
    'enter "{value}" into the "{name}" field',
    'type "{value}" in {name}',
    'fill {name} with "{value}"',
    "put {value} into the {name} field",
    'Enter "{value}" into the text field "{name}"',
)
_JOINT = (" and ", " and then ", ", then ", " and ")

Pair = tuple[list[str], str, str]


def _quote(text: str) -> str:
    return '"' + text + '"'


def _named(words: Words, count: int) -> list[str]:
    found: dict[str, None] = {}
    while len(found) < count:
        name = words.name()
        if words.rng.random() < 0.15:
            name = name.capitalize()
        found.setdefault(name)
    return list(found)


def plain_row(words: Words, count: int) -> tuple[str, list[Pair]]:
    """A page, and requests with what was done, the task and the call that comes next."""
    rng = words.rng
    names = _named(words, rng.randint(3, 14))
    roles = [rng.choice(ROLES) for _ in names]
    roles[0], roles[1] = "textbox", "button"
    order = rng.sample(range(len(names)), len(names))
    numbers = rng.sample(range(100), len(names))
    lines, refs = [f"page: {words.name()}"], {}
    options = {i: _named(words, rng.randint(2, 4)) for i, r in enumerate(roles) if r == "combobox"}
    for i in order:
        if roles[i] in ("heading", "text"):
            lines.append(f"{roles[i]}: {names[i]}")
            continue
        refs[i] = f"e{numbers[i]}"
        line = f"{roles[i]} {_quote(names[i])} {refs[i]}"
        if i in options:
            line += " options " + " ".join(_quote(o) for o in options[i])
        lines.append(line)
    pairs = []
    for _ in range(count):
        steps = [
            _request(words, i, roles[i], names[i], refs[i], options.get(i))
            for i in _some(words, refs)
        ]
        at = rng.randint(0, len(steps))
        task = rng.choice(_JOINT).join(s[0] for s in steps)
        call = steps[at][1] if at < len(steps) else "finish"
        pairs.append(([f"{s[2]} -> ok" for s in steps[:at]], task, call))
    return "\n".join(lines), pairs


def _some(words: Words, refs: dict[int, str]) -> list[int]:
    count = min(len(refs), words.rng.choice((1, 1, 1, 2, 2, 3)))
    return words.rng.sample(list(refs), count)


def _request(
    words: Words, index: int, role: str, name: str, ref: str, options: list[str] | None
) -> tuple[str, str, str]:
    """One request: its words, the call, and the call as history shows it."""
    rng = words.rng
    quoted = _quote(name)
    if role == "textbox":
        value = words.name()
        text = rng.choice(_FILL).format(value=value, name=name)
        return text, f"fill {quoted} {ref} {_quote(value)}", f"fill {quoted} {_quote(value)}"
    if options:
        choice = rng.choice(options)
        text = rng.choice(('choose "{c}" in {n}', 'select {c} from "{n}"', "set {n} to {c}"))
        call = f"select {quoted} {ref} {_quote(choice)}"
        return text.format(c=choice, n=name), call, f"select {quoted} {_quote(choice)}"
    if role in ("checkbox", "radio") and rng.random() < 0.5:
        text = rng.choice(('check "{n}"', "tick {n}", 'check the {r} "{n}"')).format(n=name, r=role)
        return text, f"check {quoted} {ref}", f"check {quoted}"
    text = rng.choice(_CLICK).format(role=role, name=name)
    return text, f"click {quoted} {ref}", f"click {quoted}"
