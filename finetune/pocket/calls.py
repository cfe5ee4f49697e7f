"""Rows of tools of all kinds: a request names a tool and its values, the call has them in order.

Tools and parameters have made-up names; a request mentions a tool by its name, as it is, in parts
or inflected, and gives values in any order and many wordings. What the request does not speak of
is left out of the call. Further requests ask for several calls, for what a tool answered or the
text at hand says, or come after a call that was refused for its form. All values are strings here,
and no value has to be reckoned or guessed: it stands in the request, except for a switch, which is
``true`` or ``false``.
"""

# ruff: noqa: SIM905 (lists of words read better as text)

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from finetune.pocket.door import quoted
from finetune.pocket.office import Words
from finetune.pocket.pages import Asked
from finetune.pocket.words import digits

__all__ = ["call_row"]

_RESERVED = """
finish call use run start set turn first last no all after then true false now left right the for
to is with by at and not as result answer value name argument
""".split()
"""Words that would make a request ambiguous as names."""

_MENTIONS = {
    1: (
        *("{a}", "{a}", "{a}", "please {a}", "now {a}", "you should {a}", "can you {a}"),
        *("call {a}", "use {a}", "run {a}", "use the {a} tool", "I want to {a}", "do the {a}"),
        *("start {a}ing", "we need {a}ing", "it has to be {a}ed", "he {a}s it", "get it {a}ed"),
    ),
    2: (
        *("{a}_{b}", "{a} {b}", "{a} the {b}", "{a} a {b}", "please {a} the {b}", "{a} my {b}"),
        *("{a} the {w} {b}", "{a} a new {b}", "call {a}_{b}", "use {a}_{b}", "run {a} {b}"),
        *("I want to {a} the {b}", "can you {a} this {b}", "{a} some {w} {b}", "do {a} {b}"),
        *("start {a}ing the {b}", "we need the {b} {a}ed", "the {b} has to be {a}ed"),
        *("{a}ing of the {b}", "the {b} is to be {a}ed", "she {a}s the {b}", "{a} {b}s"),
    ),
}
_LINKED = (
    *("{p} {v}", "with {p} {v}", "with the {p} {v}", "with {v} as {p}", "using {v} as the {p}"),
    *("at {p} {v}", "for {p} {v}", "by {p} {v}", "and {p} {v}", "with a {p} of {v}"),
    *("whose {p} is {v}", "where {p} is {v}", "having {v} for its {p}", "to {p} {v}"),
)
"""Wordings of a value that follow without a comma."""
_APART = (
    *("{p}: {v}", "{p} = {v}", "{v} as {p}", "{v} as the {p}", "set {p} to {v}", "{p} is {v}"),
    *("the {p} is {v}", "{p} should be {v}", "{v} is the {p}", "{v} for the {p}", "{p}={v}"),
    *("a {p} of {v}", "use {v} for {p}", "put {v} in {p}", "make the {p} {v}", "{p} ({v})"),
)
_SWITCHED = {
    "true": ("with {p} switched on", "turn {p} on", "with {p} turned on", "switch on {p}"),
    "false": ("without {p}", "turn {p} off", "with {p} switched off", "not {p}"),
}
_JOINTS = (" and ", " and then ", ", then ", "; ", ". ", ". After that, ", ", and also ", " then ")
_RESULTS = ("ok", "ok", "done", "{w} done", "{w} {x}", "{w}: {v}", "{w} {v}, {x} {w}")
_OUTCOMES = (
    *(" and tell me what it says", " and answer with the result", ", what is the result?"),
    *(" and report what comes back", "; what does it return?", " and give me the outcome"),
    *(". What comes out?", " and say the result", ", then repeat what it gives"),
)
_FACTS = ("{k}: {v}", "{k} {v}", "{k} = {v}", "the {k} is {v}", "{k} is {v}")
_QUESTIONS = (
    *("what is the {k}?", "tell me the {k}", "say the {k}", "answer with the {k}", "{k}?"),
    *("give me the {k}", "I need the {k}", "which {k} is it?", "what does it say for {k}?"),
    *("find out the {k}", "report the {k}", "let me know the {k}", "the {k}, please"),
)


@dataclass(frozen=True)
class _Tool:
    """A name of one word or two, and parameters, of which the first ``required`` must be given."""

    name: tuple[str, ...]
    params: tuple[str, ...]
    required: int

    @property
    def label(self) -> str:
        return "_".join(self.name)

    def signature(self) -> str:
        """One line, as the chat template writes it."""
        marked = (p if i < self.required else f"{p}?" for i, p in enumerate(self.params))
        return " ".join([self.label, *marked])

    def call(self, values: Mapping[str, str]) -> str:
        """A call line; an argument left out before another is marked."""
        names = list(self.params)
        while names and names[-1] not in values:
            names.pop()
        written = (quoted(values[n]) if n in values else "-" for n in names)
        return " ".join([self.label, *written])


@dataclass(frozen=True)
class _Step:
    """One call that a request asks for, and the words it uses."""

    tool: _Tool
    values: dict[str, str]
    text: str
    call: str


class _Desk:
    """The tools of a row and what there is to see, drawn anew for every row."""

    def __init__(self, words: Words) -> None:
        self.words, self.rng, self.taken = words, words.rng, set(_RESERVED)
        params = [self._parameter() for _ in range(self.rng.randint(4, 9))]
        self.tools: list[_Tool] = []
        for _ in range(self.rng.randint(3, 9)):
            self.tools.append(self._tool(params))
        self.facts = self.draw_facts() if self.rng.random() < 0.4 else {}
        self.form = self.rng.choice(_FACTS)
        self.seen = self._seen()

    def fresh(self) -> str:
        """A word that no name of this row has."""
        while (word := self.words.word()) in self.taken:
            pass
        self.taken.add(word)
        return word

    def _parameter(self) -> str:
        return self.fresh() if self.rng.random() < 0.75 else f"{self.fresh()}_{self.fresh()}"

    def _tool(self, params: list[str]) -> _Tool:
        pairs = [t.name for t in self.tools if len(t.name) == 2]
        name: tuple[str, ...] = (self.fresh(),)
        if pairs and self.rng.random() < 0.35:
            name = (self.rng.choice(pairs)[0], *name)
        elif self.rng.random() < 0.55:
            name = (*name, self.fresh())
        count = min(len(params), self.rng.choice((0, 1, 1, 2, 2, 3, 3, 4)))
        required = count - sum(self.rng.random() < 0.4 for _ in range(count))
        return _Tool(name, tuple(self.rng.sample(params, count)), required)

    def draw_facts(self) -> dict[str, str]:
        """Names with values."""
        keys = [self.fresh() for _ in range(self.rng.randint(1, 4))]
        return {k: self.value() for k in keys}

    def _seen(self) -> str:
        if self.facts:
            said = [self.form.format(k=k, v=v) for k, v in self.facts.items()]
            return self.rng.choice(("\n", ", ", "; ")).join(said)
        if self.rng.random() < 0.35:
            return ""
        return f"{self.words.word()} {self.words.word()} {digits(self.rng)}"

    def value(self) -> str:
        """A value without a word that names something here."""
        while self.taken & set((value := self._any_value()).lower().split()):
            pass
        return value

    def _any_value(self) -> str:
        rng, word = self.rng, self.words.word
        roll = rng.random()
        if roll < 0.25:
            return self.words.name()
        if roll < 0.4:
            return " ".join(word() for _ in range(rng.randint(2, 4)))
        number = digits(rng, rng.randint(1, 4))
        if roll < 0.58:
            return rng.choice((number, number, f"-{number}", f"{number}.{rng.randint(0, 99)}"))
        if roll < 0.66:
            return f"20{digits(rng, 2)}-{rng.randint(1, 12):02}-{rng.randint(1, 28):02}"
        if roll < 0.74:
            return f"{word()[:3].upper()}-{number}"
        return word().capitalize() if roll < 0.8 else word()

    def step(self) -> _Step:
        """One call and a wording for it."""
        tool = self.rng.choice(self.tools)
        values = {}
        for index, param in enumerate(tool.params):
            if index < tool.required or self.rng.random() < 0.45:
                switch = self.rng.random() < 0.12
                values[param] = self.rng.choice(("true", "false")) if switch else self.value()
        return _Step(tool, values, self._worded(tool, values), tool.call(values))

    def _worded(self, tool: _Tool, values: Mapping[str, str]) -> str:
        rest = [p for p in tool.params if p in values]
        words = dict(zip("ab", tool.name, strict=False))
        head = self.rng.choice(_MENTIONS[len(tool.name)]).format(w=self.fresh(), **words)
        # No word of a value is ever written otherwise than it is.
        head = head[:1].upper() + head[1:] if self.rng.random() < 0.2 else head
        if rest and rest[0] == tool.params[0] and self.rng.random() < 0.45:
            head = f"{head} {self._shown(values[rest.pop(0)])}"
        self.rng.shuffle(rest)
        if rest and self.rng.random() < 0.2:
            said = ", ".join(self._given(p, values[p], self.rng.choice(_APART)) for p in rest)
            return f"{said}{self.rng.choice((', ', ': ', ' - '))}{head}"
        for param in rest:
            linked = self.rng.random() < 0.6
            frame = self.rng.choice(_LINKED if linked else _APART)
            head += (" " if linked else ", ") + self._given(param, values[param], frame)
        return head

    def _given(self, param: str, value: str, frame: str) -> str:
        if value in _SWITCHED and self.rng.random() < 0.5:
            frame = self.rng.choice(_SWITCHED[value])
        name = param.replace("_", " ") if self.rng.random() < 0.6 else param
        return frame.format(p=name, v=self._shown(value))

    def _shown(self, value: str) -> str:
        roll = self.rng.random()
        return quoted(value) if roll < 0.25 else f"'{value}'" if roll < 0.32 else value

    def result(self) -> str:
        """What a tool says that nobody asks about."""
        word = self.words.word
        return self.rng.choice(_RESULTS).format(w=word(), x=word(), v=self.value())

    def refusal(self, step: _Step) -> tuple[str, str]:
        """A line of history with a call of the wrong form, and the part of it that tells why.

        Arguments that the tool does not have are not shown: a history line has those of the schema.
        """
        tool, needed = step.tool, step.tool.params[: step.tool.required]
        roll = self.rng.random()
        if roll < 0.2:
            other = "_".join((*tool.name[:-1], self.fresh()))
            call = " ".join([other, *map(quoted, step.values.values())])
            return f"{call} -> no tool {other}", f"no tool {other}"
        call, why = step.call, f"no argument {self.fresh()}"
        if needed and roll < 0.75:
            missing = self.rng.choice(needed)
            call = tool.call({p: v for p, v in step.values.items() if p != missing})
            why = f"{missing} is missing"
        if self.rng.random() < 0.5:
            return f"{call} -> {why}", why
        return f"{call} -> {tool.label}: {why}. Arguments: {' '.join(tool.params) or 'none'}", why


def _requested(desk: _Desk) -> Asked:
    """A request for one call or several, at some moment of it."""
    rng = desk.rng
    steps = [desk.step() for _ in range(rng.choice((1, 1, 1, 2, 2, 3)))]
    task = rng.choice(_JOINTS).join(s.text for s in steps) + rng.choice(("", "", "", "."))
    if rng.random() < 0.25:
        return _wanted(desk, steps, task.rstrip("."))
    at = rng.choice((*range(len(steps)), rng.randint(0, len(steps))))
    done = []
    for step in steps[:at]:
        if rng.random() < 0.08:
            done.append(desk.refusal(step)[0])
        done.append(f"{step.call} -> {desk.result()}")
    if at == len(steps):
        return Asked(tuple(done), task, "finish", skill="stop")
    if rng.random() < 0.2:
        line, why = desk.refusal(steps[at])
        return Asked((*done, line), task, steps[at].call, why, "error")
    return Asked(tuple(done), task, steps[at].call, skill="call")


def _wanted(desk: _Desk, steps: list[_Step], task: str) -> Asked:
    """A request that wants to hear what its last tool answered, before or after that call."""
    rng = desk.rng
    ask, answer = rng.choice(_OUTCOMES), desk.value()
    result, said = answer, ""
    if rng.random() < 0.5:
        facts = desk.draw_facts()
        key, answer = rng.choice(list(facts.items()))
        form = rng.choice(_FACTS)
        result = ", ".join(form.format(k=k, v=v) for k, v in facts.items())
        said = form.format(k=key, v=answer)
        ask = rng.choice((" and ", ", ", ", then ")) + rng.choice(_QUESTIONS).format(k=key)
    done = [f"{s.call} -> {desk.result()}" for s in steps[:-1]]
    if rng.random() < 0.25:
        return Asked(tuple(done), task + ask, steps[-1].call, skill="call")
    done.append(f"{steps[-1].call} -> {result}")
    return Asked(tuple(done), task + ask, f"finish {quoted(answer)}", said, "answer")


def _read(desk: _Desk) -> Asked:
    """A question that the text at hand answers."""
    key, value = desk.rng.choice(list(desk.facts.items()))
    said = desk.form.format(k=key, v=value)
    task = desk.rng.choice(_QUESTIONS).format(k=key)
    return Asked((), task, f"finish {quoted(value)}", said, "answer")


def call_row(words: Words, count: int) -> tuple[list[str], str, list[Asked]]:
    """Tools without ``finish``, what there is to see, which may be nothing, and ``count`` requests."""
    desk, asked = _Desk(words), []
    for _ in range(count):
        reading = desk.facts and words.rng.random() < 0.2
        asked.append(_read(desk) if reading else _requested(desk))
    return [t.signature() for t in desk.tools], desk.seen, asked
