"""ScienceWorld's grammar of actions as tools: a tool a template, an argument an object's name.

In one state a thousand actions are valid; what an agent gets are the two dozen forms that make
them. Left out are the two forms that are no work: one clears a failure, the other repeats the
instruction.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from instar.types import ToolSpec

__all__ = ["CHOOSE", "LEFT_OUT", "TEMPLATES", "Template", "call_of", "offered", "phrase"]

_LONGEST = 200


def _into(found: re.Match[str]) -> str:
    """``pour A in B`` as ``pour A into B``, where either may be named by the place that it is in.

    Of two names with a place each the middle "in" parts them; of three parts the first two belong
    together, for what is poured is named by its place more often than what it is poured into.
    """
    parts = found[2].split(" in ")
    middle = len(parts) // 2 + len(parts) % 2
    return f"{found[1]} {' in '.join(parts[:middle])} into {' in '.join(parts[middle:])}"


_SYNONYMS = (
    (re.compile(r"^examine "), "look at "),
    (re.compile(r"^drop "), "put down "),
    (re.compile(r"^(pour|dunk) (?!.* into )(.+ in .+)"), _into),
)
_SLOT = re.compile(r"\{(\w+)\}")


class Template(NamedTuple):
    """A form of action.

    Attributes:
        pattern: The action with its arguments in braces.
        form: What the simulator calls it; empty for an answer, which is no form.
        effects: ``read`` where it changes nothing but the time.
    """

    name: str
    pattern: str
    form: str
    description: str
    effects: tuple[str, ...] = ("write",)

    @property
    def arguments(self) -> tuple[str, ...]:
        """Names of the arguments, in order."""
        return tuple(_SLOT.findall(self.pattern))

    def spec(self) -> ToolSpec:
        """The tool as a model sees it."""
        properties = {name: {"type": "string"} for name in self.arguments}
        return ToolSpec(
            name=self.name,
            description=self.description,
            parameters={
                "type": "object",
                "properties": properties,
                "required": list(properties),
                "additionalProperties": False,
            },
            effects=self.effects,
        )


_READ = ("read",)
CHOOSE = Template("choose", "{number}", "", "Answer the question which thing was meant.")
LEFT_OUT = ("reset task", "task")
TEMPLATES = {
    t.name: t
    for t in (
        Template("look_around", "look around", "look around", "Look around the room.", _READ),
        Template("look_at", "look at {thing}", "look at OBJ", "Look at a thing.", _READ),
        Template("look_in", "look in {thing}", "look in OBJ", "Look into a container.", _READ),
        Template("inventory", "inventory", "inventory", "List what you carry.", _READ),
        Template("read", "read {thing}", "read OBJ", "Read a note or a book.", _READ),
        Template("go", "go to {place}", "go OBJ", "Go through an open door to the next room."),
        Template("teleport", "teleport to {place}", "teleport OBJ", "Be in any room at once."),
        Template("open", "open {thing}", "open OBJ", "Open a door or a container."),
        Template("close", "close {thing}", "close OBJ", "Close a door or a container."),
        Template("pick_up", "pick up {thing}", "pick up OBJ", "Take a thing along."),
        Template("put_down", "put down {thing}", "put down OBJ", "Put a thing down in the room."),
        Template("move", "move {thing} to {place}", "move OBJ to OBJ", "Put a thing elsewhere."),
        Template("pour", "pour {thing} into {container}", "pour OBJ in OBJ", "Pour a liquid."),
        Template("dunk", "dunk {container} into {liquid}", "dunk OBJ in OBJ", "Fill by dunking."),
        Template("mix", "mix {container}", "mix OBJ", "Mix what is in a container."),
        Template("activate", "activate {device}", "activate OBJ", "Switch a device on."),
        Template("deactivate", "deactivate {device}", "deactivate OBJ", "Switch a device off."),
        Template("use", "use {tool} on {thing}", "use OBJ on OBJ", "Use a tool on a thing."),
        Template("connect", "connect {one} to {other}", "connect OBJ to OBJ", "Wire two ends."),
        Template("disconnect", "disconnect {thing}", "disconnect OBJ", "Take wires off."),
        Template("eat", "eat {thing}", "eat OBJ", "Eat something."),
        Template("flush", "flush {thing}", "flush OBJ", "Flush a toilet."),
        Template("focus_on", "focus on {thing}", "focus on OBJ", "Say what the task is about."),
        Template("wait", "wait", "wait", "Let ten moments pass."),
        Template("wait1", "wait1", "wait1", "Let one moment pass."),
        CHOOSE,
    )
}


def offered(forms: Iterable[str]) -> dict[str, Template]:
    """The tools of a task, given the forms of action that it knows."""
    known = set(forms)
    return {name: t for name, t in TEMPLATES.items() if not t.form or t.form in known}


def phrase(template: Template, arguments: Mapping[str, Any]) -> str:
    """The action that a call stands for.

    Raises:
        ValueError: The arguments do not fit; the message is for the caller.
    """
    wrong = [f"{name} is missing" for name in template.arguments if name not in arguments]
    wrong += [f"no argument {name}" for name in arguments if name not in template.arguments]
    values: dict[str, str] = {}
    for name in template.arguments:
        value = arguments.get(name, "")
        if isinstance(value, bool) or not isinstance(value, str | int):
            wrong.append(f"{name} is no text")
            continue
        # Half a surrogate pair, which a model can write in JSON, cannot be sent.
        text = " ".join(str(value).encode(errors="replace").decode().split())
        if name in arguments and not 0 < len(text) <= _LONGEST:
            wrong.append(f"{name} is {'too long' if text else 'empty'}")
        if template is CHOOSE and text and not (text.isascii() and text.isdigit()):
            wrong.append(f"{name} is no number")
        values[name] = text
    if wrong:
        listed = " ".join(template.arguments) or "none"
        raise ValueError(f"{template.name}: {'; '.join(wrong)}. Arguments: {listed}")
    return template.pattern.format_map(values)


def call_of(action: str) -> tuple[str, dict[str, str]]:
    """The call that makes an action, or one that means the same in other words.

    Raises:
        ValueError: No tool can make it.
    """
    for words, ours in _SYNONYMS:
        action = words.sub(ours, action)
    for template in TEMPLATES.values():
        value = r"\\d+" if template is CHOOSE else ".+"
        pattern = _SLOT.sub(rf"(?P<\1>{value})", template.pattern)
        if found := re.fullmatch(pattern, action):
            return template.name, found.groupdict()
    raise ValueError(f"no tool for {action!r}")
