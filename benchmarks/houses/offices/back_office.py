"""The back office of a shop: orders, stock, tickets, messages, customers and a calendar."""

from __future__ import annotations

from benchmarks.houses.office import Change, Family, Kind, Office, Tool, Value, one_of, upto
from benchmarks.houses.words import THINGS, content_word, email

__all__ = ["BACK_OFFICE"]

_DELIVERED, _PAID = {"status": "delivered"}, {"status": "paid"}

_KINDS = (
    Kind(
        "order",
        {
            "status": one_of("delivered", "paid"),
            "item": one_of(*THINGS),
            "size": one_of("large", "small"),
            "total": upto(10, 99),
            "channel": one_of("phone", "post", "shop"),
        },
        greater="large",
        subject="item",
        sort="channel",
        amount="total",
    ),
    Kind("ticket", {"about": content_word, "level": one_of("high", "low", "middle")},
         subject="about", sort="level"),
    Kind("item", {"stock": upto(0, 99), "shelf": one_of("base", "side", "top")},
         numbered=False, sort="shelf"),
    Kind("customer", {"email": email, "tier": one_of("gold", "plain", "silver")}, sort="tier"),
    Kind("message", {"about": content_word, "origin": one_of("abroad", "branch", "town")},
         subject="about", sort="origin", written=True),
    Kind("slot", {"time": upto(8, 18), "room": one_of("attic", "cellar", "hall")}, sort="room"),
)  # fmt: skip


def _work(
    name: str, kind: str, said: str, *values: str, verb: str = "", changes: tuple[Change, ...] = ()
) -> Tool:
    """A work tool; the values that a rule may want beside those of the task are optional."""
    optional = tuple(v for v in values if v in ("code", "reason"))
    article = "an" if kind[0] in "oi" else "a"
    description = f"{verb or name.capitalize()} {article} {kind}."
    return Tool(
        name,
        description,
        kind,
        (kind, *values),
        said,
        optional,
        changes=changes,
        repeats=any(c.add or c.value.startswith("{") for c in changes) and name != "reply",
    )


_WORK = (
    _work("refund", "order", "refunded", "code", "reason"),
    _work("ship", "order", "shipped", "code"),
    _work("cancel", "order", "cancelled", "code", "reason"),
    _work("fetch", "order", "fetched", "code"),
    _work("discount", "order", "discounted", "percent", "code",
          changes=(Change("discount", "{percent}"),)),
    _work("restock", "item", "restocked", "quantity", "code",
          changes=(Change("stock", "{quantity}", add=True),)),
    _work("close", "ticket", "closed", "code", "reason"),
    _work("reply", "ticket", "answered", "text", verb="Reply to",
          changes=(Change("text", "{text}"),)),
    _work("forward", "message", "forwarded", "address", changes=(Change("to", "{address}"),)),
    _work("archive", "message", "archived", "code", "reason"),
    _work("update", "customer", "updated", "email", changes=(Change("email", "{email}"),)),
    _work("book", "slot", "booked", "customer", "code", changes=(Change("for", "{customer}"),)),
    _work("move", "slot", "moved", "time", "code", changes=(Change("time", "{time}"),)),
)  # fmt: skip

_ON = ("record",)

_SIDE = (
    Tool("tag", "Tag a record with a text.", "", (*_ON, "text"), "tagged {text}", role="mark"),
    Tool("assign", "Assign a record to a person.", "", (*_ON, "person"), "assigned {person}",
         role="give"),
    Tool("log", "Log a record.", "", _ON, "logged", role="note"),
    Tool("seal", "Seal a record.", "", _ON, "sealed", role="close"),
    Tool("approve", "Approve a record.", "", _ON, "approved", role="allow"),
    Tool("confirm", "Confirm what was done to a record.", "", _ON, "confirmed", role="confirm"),
    Tool("desk", "Ask the desk for an action.", "", (*_ON, "action"), "{action} by desk",
         role="counter"),
    Tool("open", "Open a place.", "", ("place",), "{place} opened", role="open"),
    Tool("become", "Act as a person.", "", ("person",), "acting as {person}", role="act"),
    Tool("wait", "Wait for a time of the day.", "", ("until",), "{until} now", role="wait"),
    Tool("look", "Look at a record.", "", _ON, "", effects=("read",), role="look"),
)  # fmt: skip

_FAMILIES = (
    Family("refund", "order", ("refund",), "refund {records}", facts=_DELIVERED,
           others=("give the money back for {records}", "pay back {records}")),
    Family("ship", "order", ("ship",), "ship {records}", facts=_PAID,
           others=("send out {records}", "{records} can be shipped")),
    Family("cancel", "order", ("cancel",), "cancel {records}", facts=_PAID,
           others=("call off {records}", "{records} is no longer wanted, cancel it")),
    Family("exchange", "order", ("fetch", "ship"), "fetch {records} and then ship order {name}",
           single=True, facts=_DELIVERED,
           others=("get {records} back and send it out again",)),
    Family("discount", "order", ("discount",), "discount {records} with percent {value}",
           value="percent", facts=_PAID,
           others=("take {value} percent off {records}",)),
    Family("restock", "item", ("restock",), "restock {records} with quantity {value}",
           value="quantity", others=("{value} more of {records} came in, restock",)),
    Family("close", "ticket", ("close",), "close {records}",
           others=("{records} is settled, close it",)),
    Family("reply", "ticket", ("reply",), "reply to {records} with text {value}", value="text",
           others=("answer {records} in these words: {value}",)),
    Family("update", "customer", ("update",), "update {records} with email {value}",
           value="email", single=True,
           others=("{records} now has the email {value}, put that in",)),
    Family("forward", "message", ("forward",), "forward {records} with address {value}",
           value="address", others=("pass {records} on to {value}",)),
    Family("archive", "message", ("archive",), "archive {records}",
           others=("put {records} into the archive",)),
    Family("book", "slot", ("book",), "book {records} with customer {value}", value="customer",
           single=True, others=("customer {value} wants {records}, book it",)),
    Family("move", "slot", ("move",), "move {records} with time {value}", value="time",
           single=True, others=("{records} is to be at {value} o'clock",)),
)  # fmt: skip

_ADDRESS = r"[a-z]{2,12}\.[a-z]{2,12}@[a-z]{2,12}\.example"
_MAIL = Value(_ADDRESS, email, r"\S+@\S+\.\S+", "is not an address")

_VALUES = {
    "quantity": Value(r"[1-9]\d?", upto(2, 60), r"\d{1,4}", "is not a number", number=True),
    "percent": Value(
        r"[1-9]\d?", upto(3, 60), r"\d{1,2}", "is not a number below 100", number=True
    ),
    "text": Value(r"[a-z]{2,12}", content_word),
    "email": _MAIL,
    "address": _MAIL,
    "customer": Value(r"[1-9]\d\d", record="customer"),
    "time": Value(r"[89]|1[0-8]", upto(8, 18), r"[89]|1[0-8]", "is not an hour from 8 to 18"),
}

_DEMANDS = {
    "before": ('tag "{word}" first',),
    "owner": ('assign "{person}" first',),
    "code": ('with code "{code}"',),
    "after": ("seal last",),
    "place": ('desk "{action}" instead',),
    "approval": ("approve first",),
    "session": ('open "{place}" first',),
    "swap": ("ship first",),
    "pair": ('tag "{word}" and log first',),
    "signature": ('with text ending "{word}"',),
    "limit": ("approve above {limit} first", "please approve above {limit} first"),
    "named": ('tag "{word}-{id}" first', 'please tag "{word}-{id}" first'),
    "format": ('with code "{letters}-{id}"', 'only with code "{letters}-{id}"'),
    "field": ("with reason naming the {subject}", "only with reason naming the {subject}"),
    "role": ('become "{person}" first', 'please become "{person}" first'),
    "window": ('wait "{shift}" first', 'please wait "{shift}" first'),
    "confirm": ("confirm right after", "please confirm right after"),
    "exception": ("{inner} unless {fact} is {value}", "{inner} but not where {fact} is {value}"),
    "excepted": ("no {tool} where {fact} is {value}",),
}

BACK_OFFICE = Office(
    title="back office of house {house}",
    page="of house {house}",
    kinds={kind.name: kind for kind in _KINDS},
    work={tool.name: tool for tool in _WORK},
    side={tool.name: tool for tool in _SIDE},
    families={family.name: family for family in _FAMILIES},
    values=_VALUES,
    things=THINGS,
    departments=(("order", "item"), ("ticket", "message"), ("customer", "slot")),
    shifts=("early", "noon", "evening", "night", "dawn"),
    wordings=("{}", "please {}", "could you {}", "kindly {}", "{} today", "{} now"),
    openings={
        "locked": ("locked", "blocked", "stopped", "frozen", "barred"),
        "rejected": ("rejected", "refused", "returned", "declined", "sent back"),
        "escalated": ("escalated", "reported", "raised", "flagged", "noted"),
    },
    demands=_DEMANDS,
    names={"code": "code", "reason": "reason", "text": "text"},
)
