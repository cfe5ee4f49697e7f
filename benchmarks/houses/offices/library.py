"""A library desk: copies, readers, requests, rooms and shelves, in words of its own.

Beside other words it has other mechanics than the back office: lending changes the reader as well
as the copy, charges add up, waiving sets to nothing, and names have four digits. It is there to
prove that nothing which learns is keyed to the first office.
"""

from __future__ import annotations

from benchmarks.houses.office import Change, Family, Kind, Office, Tool, Value, one_of, upto
from benchmarks.houses.words import THINGS, content_word

__all__ = ["LIBRARY"]

_KINDS = (
    Kind(
        "copy",
        {
            "state": one_of("shelved", "returned"),
            "title": one_of(*THINGS),
            "rarity": one_of("rare", "common"),
            "worth": upto(10, 99),
            "due": upto(0, 20),
            "binding": one_of("cloth", "leather", "paper"),
        },
        greater="rare",
        size="rarity",
        lesser="common",
        subject="title",
        sort="binding",
        amount="worth",
    ),
    Kind("reader", {"loans": upto(0, 3), "fines": upto(0, 80),
                    "age": one_of("adult", "child", "senior")}, sort="age"),
    Kind("request", {"subject": content_word, "source": one_of("letter", "phone", "visit")},
         subject="subject", sort="source", written=True),
    Kind("room", {"hour": upto(9, 17), "wing": one_of("east", "north", "west")}, sort="wing"),
    Kind("shelf", {"volumes": upto(0, 60), "floor": one_of("ground", "lower", "upper")},
         numbered=False, sort="floor"),
)  # fmt: skip


def _work(
    name: str, kind: str, said: str, about: str, *values: str, changes: tuple[Change, ...] = ()
) -> Tool:
    optional = tuple(v for v in values if v in ("slip", "ground"))
    return Tool(
        name,
        about,
        kind,
        (kind, *values),
        said,
        optional,
        changes=changes,
        repeats=any(c.add for c in changes),
    )


_WORK = (
    _work("lend", "copy", "lent", "Lend a copy to a reader.", "reader", "slip", "ground",
          changes=(Change("state", "lent"), Change("holder", "{reader}"),
                   Change("loans", "1", add=True, on="reader"))),
    _work("renew", "copy", "renewed", "Give a reader more days with a copy.", "days", "slip",
          changes=(Change("due", "{days}", add=True),)),
    _work("shelve", "copy", "put back", "Put a copy back on its shelf.", "slip", "ground",
          changes=(Change("state", "shelved"),)),
    _work("withdraw", "copy", "withdrawn", "Take a copy out of the stock.", "slip", "ground",
          changes=(Change("state", "withdrawn"),)),
    _work("unbind", "copy", "unbound", "Take a copy's binding off.", "slip"),
    _work("rebind", "copy", "bound", "Give a copy a new binding.", "slip"),
    _work("charge", "reader", "charged", "Charge a reader.", "cents", "slip",
          changes=(Change("fines", "{cents}", add=True),)),
    _work("waive", "reader", "forgiven", "Forgive a reader's fines.", "slip",
          changes=(Change("fines", "0"),)),
    _work("answer", "request", "answered", "Answer a request.", "words",
          changes=(Change("words", "{words}"),)),
    _work("drop", "request", "dropped", "Drop a request.", "slip", "ground"),
    _work("reserve", "room", "reserved", "Reserve a room at an hour.", "hour", "slip",
          changes=(Change("hour", "{hour}"),)),
    _work("fill", "shelf", "filled", "Put volumes on a shelf.", "volumes", "slip",
          changes=(Change("volumes", "{volumes}", add=True),)),
)  # fmt: skip

_ON = ("card",)

_SIDE = (
    Tool("stamp", "Stamp a card.", "", (*_ON, "print"), "stamped {print}", role="mark"),
    Tool("hand", "Hand a card to a colleague.", "", (*_ON, "colleague"), "handed to {colleague}",
         role="give"),
    Tool("jot", "Jot a card down.", "", _ON, "jotted", role="note"),
    Tool("wrap", "Wrap a card.", "", _ON, "wrapped", role="close"),
    Tool("countersign", "Countersign a card.", "", _ON, "countersigned", role="allow"),
    Tool("verify", "Verify what was done to a card.", "", _ON, "verified", role="confirm"),
    Tool("hatch", "Pass a task through the hatch.", "", (*_ON, "task"), "{task} at hatch",
         role="counter"),
    Tool("unlock", "Unlock a door.", "", ("door",), "{door} unlocked", role="open"),
    Tool("relieve", "Take a colleague's seat.", "", ("colleague",), "in the seat of {colleague}",
         role="act"),
    Tool("pause", "Pause till a bell.", "", ("bell",), "bell {bell} rang", role="wait"),
    Tool("read", "Read a card.", "", _ON, "", effects=("read",), role="look"),
)  # fmt: skip

_FAMILIES = (
    Family("lend", "copy", ("lend",), "{records}: lend to reader {value}", value="reader",
           single=True, facts={"state": "shelved"},
           others=("reader {value} takes {records} home",)),
    Family("renew", "copy", ("renew",), "{records}: renew by days {value}", value="days",
           facts={"state": "lent"}, others=("{value} more days with {records} are granted",)),
    Family("shelve", "copy", ("shelve",), "{records}: shelve", facts={"state": "returned"},
           others=("{records} should go back to its place",)),
    Family("withdraw", "copy", ("withdraw",), "{records}: withdraw", facts={"state": "shelved"},
           others=("we no longer keep {records}",)),
    Family("repair", "copy", ("unbind", "rebind"), "{records}: unbind, then rebind copy {name}",
           single=True, facts={"state": "returned"},
           others=("{records} needs a new binding in place of the old",)),
    Family("charge", "reader", ("charge",), "{records}: charge cents {value}", value="cents",
           others=("{records} owes us {value} cents more",)),
    Family("waive", "reader", ("waive",), "{records}: waive the fines",
           others=("what {records} owes is forgiven",)),
    Family("answer", "request", ("answer",), "{records}: answer with words {value}",
           value="words", others=("{records} gets the answer {value}",)),
    Family("drop", "request", ("drop",), "{records}: drop",
           others=("{records} has become pointless",)),
    Family("reserve", "room", ("reserve",), "{records}: reserve at hour {value}", value="hour",
           single=True, others=("somebody needs {records} at {value}",)),
    Family("fill", "shelf", ("fill",), "{records}: fill with volumes {value}", value="volumes",
           others=("{value} volumes go onto {records}",)),
    Family("mend", "copy", ("rebind",), "{records}: rebind", facts={"state": "unbound"},
           others=("{records} lacks its binding",)),
)  # fmt: skip

_NUMBER = r"[1-9]\d?"

_VALUES = {
    "reader": Value(r"[1-9]\d{3}", record="reader"),
    "days": Value(_NUMBER, upto(3, 60), r"\d{1,3}", "must be written in figures", number=True),
    "cents": Value(_NUMBER, upto(3, 90), r"\d{1,4}", "must be written in figures", number=True),
    "volumes": Value(_NUMBER, upto(2, 60), r"\d{1,3}", "must be written in figures", number=True),
    "words": Value(r"[a-z]{2,12}", content_word),
    "hour": Value(r"9|1[0-7]", upto(9, 17), r"9|1[0-7]", "must be one of 9 to 17"),
}

_DEMANDS = {
    "before": ('lacks the stamp "{word}"', 'unstamped, must bear "{word}"'),
    "owner": ('belongs in the hands of "{person}"', '"{person}" must have been handed it'),
    "code": ('slip "{code}" is wanting', 'not without the slip "{code}"'),
    "after": ("left unwrapped, wrap when through",),
    "place": ("{action} goes through the hatch", "the hatch is there for {action}"),
    "approval": ("rare, so countersign beforehand", "countersign the rare ones beforehand"),
    "session": ('"{place}" is still shut, unlock', 'unlock "{place}" beforehand'),
    "swap": ("rebind, only then unbind",),
    "pair": ('lacks the stamp "{word}" and a jotting', 'jot it and stamp "{word}" beforehand'),
    "signature": ('words close with "{word}" here',),
    "limit": ("over {limit} countersign beforehand", "countersign what is over {limit}"),
    "named": ('lacks the stamp "{word}-{id}"', 'the stamp here is "{word}-{id}"'),
    "format": ('slip "{letters}-{id}" is wanting', 'slips here read "{letters}-{id}"'),
    "field": ("ground must tell the {subject}", "no ground that tells the {subject}"),
    "role": ('a matter for "{person}", take that seat', 'relieve "{person}" beforehand'),
    "window": ('only after bell "{shift}"', 'pause till bell "{shift}"'),
    "confirm": ("left unverified, verify at once",),
    "exception": ("{inner}, save for {fact} {value}", "{fact} {value} aside, {inner}"),
    "excepted": ("{fact} {value} goes without {tool}",),
}

LIBRARY = Office(
    title="library desk, branch {house}",
    page="at branch {house}",
    kinds={kind.name: kind for kind in _KINDS},
    work={tool.name: tool for tool in _WORK},
    side={tool.name: tool for tool in _SIDE},
    families={family.name: family for family in _FAMILIES},
    values=_VALUES,
    things=THINGS,
    departments=(("copy", "reader"), ("request", "room", "shelf")),
    shifts=("one", "two", "three", "four", "five"),
    wordings=("{}", "next {}", "desk note, {}", "if you please, {}", "still open, {}"),
    openings={
        "locked": ("card withheld", "card impounded", "void"),
        "rejected": ("handed back", "not taken", "turned down"),
        "escalated": ("sent upstairs", "on the head's table", "complaint"),
    },
    demands=_DEMANDS,
    names={"code": "slip", "reason": "ground", "text": "words"},
    digits=4,
    joint="; after that ",
    done="{said}: {kind} {name}",
    refusal="{demand} ({opening})",
    notice="a hint on {family}, {demand}",
)
