"""From dials to tasks: content, instruction, split, and the back office that a task is done in.

A task's content is what is asked: family, records, size and values. Its split is a hash of the
content alone, so the same request never stands in two splits, whatever its door, wording or house.
"""

from __future__ import annotations

import json
import random
from collections.abc import Mapping
from typing import Literal

from pydantic import Field, JsonValue, ValidationError, model_validator

from benchmarks.houses.records import Call, Entry, State
from benchmarks.houses.rules import ORDERS
from benchmarks.houses.words import ITEMS, content_word, email, record_ids
from instar.types import Record, Split, content_hash

__all__ = ["Dials", "draw", "instruction", "parse", "split_of", "state_of", "work"]

_KINDS = dict.fromkeys(ORDERS, "order") | {
    "restock": "item",
    "close": "ticket",
    "reply": "ticket",
    "update": "customer",
}
_SINGLE = ("exchange", "update")
_VALUES = {"restock": "quantity", "reply": "text", "update": "email"}
_WORDINGS = ("{}", "please {}", "could you {}", "kindly {}", "{} today", "{} now")
_SHARES = ((Split.PRACTISE, 60), (Split.GATE, 80), (Split.HELD_OUT, 100))


class Dials(Record):
    """What defines a task.

    Attributes:
        records: How many records are asked for.
        distractors: How many other records there are.
        wording: Which paraphrase.
        ids: The records asked for.
    """

    family: Literal["refund", "ship", "cancel", "exchange", "restock", "close", "reply", "update"]
    door: Literal["tools", "web"] = "tools"
    records: int = Field(1, ge=1, le=2)
    distractors: int = Field(4, ge=1, le=12)
    large: bool = False
    wording: int = Field(0, ge=0, lt=len(_WORDINGS))
    ids: tuple[str, ...] = ()
    quantity: int | None = Field(None, ge=1, le=99)
    text: str | None = Field(None, pattern=r"^[a-z]{2,12}$")
    email: str | None = Field(None, pattern=r"^[a-z]{2,12}\.[a-z]{2,12}@[a-z]{2,12}\.example$")

    @model_validator(mode="after")
    def _fits(self) -> Dials:
        if self.records > 1 and self.family in _SINGLE:
            raise ValueError(f"{self.family} takes one record")
        if self.large and self.family not in ORDERS:
            raise ValueError(f"{self.family} has no large records")
        if len(set(self.ids)) != self.records or not all(map(self._named, self.ids)):
            raise ValueError(f"ids must name {self.records} records of kind {self.kind}")
        for family, value in _VALUES.items():
            if (getattr(self, value) is not None) != (family == self.family):
                raise ValueError(f"{value} belongs to {family} and to nothing else")
        return self

    def _named(self, name: str) -> bool:
        if self.kind == "item":
            return name in ITEMS
        return len(name) == 3 and name.isdecimal() and name[0] != "0"

    @property
    def kind(self) -> str:
        """Kind of the records asked for."""
        return _KINDS[self.family]

    def params(self) -> dict[str, JsonValue]:
        """As a task carries them."""
        return self.model_dump(mode="json", exclude_none=True)


def parse(params: Mapping[str, JsonValue]) -> Dials:
    """Dials from a task's parameters.

    Raises:
        ValueError: They do not fit; the message says why on one line.
    """
    try:
        return Dials.model_validate_json(json.dumps(dict(params)))
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(p) for p in first["loc"])
        raise ValueError(f"{where}: {first['msg']}" if where else str(first["msg"])) from None


def draw(
    rng: random.Random, family: str, door: str, fixed: Mapping[str, JsonValue] | None = None
) -> Dials:
    """Dials of a family at random; ``fixed`` ones are kept, ids as far as ``records`` goes.

    Raises:
        ValueError: The fixed ones do not fit.
    """
    keep = dict(fixed or {})
    hard = rng.random() < 0.25 and family not in _SINGLE
    records = keep.get("records", 2 if hard else 1)
    if records not in (1, 2):
        raise ValueError("records must be 1 or 2")
    size = 1 if records == 1 else 2
    names = rng.sample(ITEMS, 2) if _KINDS[family] == "item" else record_ids(rng, 2)
    asked = keep.pop("ids", [])
    if not isinstance(asked, list):
        raise ValueError("ids must be a list of names")
    ids = [*asked, *(name for name in names if name not in asked)][:size]
    params: dict[str, JsonValue] = {
        "family": family,
        "door": door,
        "records": records,
        "distractors": rng.randint(2, 6),
        "large": family in ORDERS and rng.random() < 0.5,
        "wording": rng.randrange(len(_WORDINGS)) if rng.random() < 0.5 else 0,
        "ids": ids,
    }
    if family in _VALUES:
        params[_VALUES[family]] = _value(rng, family)
    return parse(params | keep)


def _value(rng: random.Random, family: str) -> JsonValue:
    if family == "restock":
        return rng.randint(2, 60)
    return content_word(rng) if family == "reply" else email(rng)


def split_of(dials: Dials) -> Split:
    """What a task of this content may be used for."""
    content = dials.model_dump(mode="json", include={"family", "large", *_VALUES.values()})
    bucket = int(content_hash(content | {"ids": sorted(dials.ids)}, 8), 16) % 100
    return next(split for split, limit in _SHARES if bucket < limit)


def instruction(dials: Dials) -> str:
    """The words the agent reads."""
    size = "large " if dials.large else ""
    first, *rest = (f"{size}{dials.kind} {name}" for name in dials.ids)
    named = " and ".join([first, *rest])
    sentence = {
        "exchange": f"fetch {first} and then ship order {dials.ids[0]}",
        "restock": f"restock {named} with quantity {dials.quantity}",
        "reply": f"reply to {named} with text {dials.text}",
        "update": f"update {named} with email {dials.email}",
    }.get(dials.family, f"{dials.family} {named}")
    return _worded(sentence, dials)


def _worded(sentence: str, dials: Dials) -> str:
    """A paraphrase; nothing follows a value, so that one can see where it ends."""
    template = _WORDINGS[dials.wording]
    if dials.family in _VALUES and template.startswith("{} "):
        template = f"{template.removeprefix('{} ')} {{}}"
    return template.format(sentence)


def work(dials: Dials, name: str) -> list[Call]:
    """The naive calls for one of the records asked for."""
    if dials.family == "exchange":
        return [Call("fetch", {"order": name}), Call("ship", {"order": name})]
    value = _VALUES.get(dials.family)
    more = {value: str(getattr(dials, value))} if value else {}
    return [Call(dials.family, {dials.kind: name, **more})]


def state_of(dials: Dials, rng: random.Random) -> State:
    """The back office of a task before the first call."""
    asked = [_entry(rng, dials.kind, name, dials) for name in dials.ids]
    taken = frozenset(dials.ids)
    ids = record_ids(rng, dials.distractors, taken)
    items = rng.sample([i for i in ITEMS if i not in taken], dials.distractors)
    kinds = [dials.kind, *rng.choices(("order", "ticket", "item", "customer"), k=12)]
    others = [
        _entry(rng, kind, items[i] if kind == "item" else ids[i], None)
        for i, kind in enumerate(kinds[: dials.distractors])
    ]
    entries = asked + others
    rng.shuffle(entries)
    return State({e.name: e for e in entries})


def _entry(rng: random.Random, kind: str, name: str, asked: Dials | None) -> Entry:
    if kind == "item":
        return Entry(kind, name, {"stock": str(rng.randint(0, 99))})
    if kind == "ticket":
        return Entry(kind, name, {"about": content_word(rng)})
    if kind == "customer":
        return Entry(kind, name, {"email": email(rng)})
    family = asked.family if asked else rng.choice(ORDERS)
    large = asked.large if asked else rng.random() < 0.5
    facts = {
        "status": "delivered" if family in ("refund", "exchange") else "paid",
        "item": rng.choice(ITEMS),
        "size": "large" if large else "small",
    }
    return Entry(kind, name, facts)
