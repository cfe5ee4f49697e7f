"""What the service is asked of the store beside the memories, and what it answers."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, Field, JsonValue, StringConstraints

from instar.service.shapes import Shape, writable

__all__ = [
    "Batch",
    "Done",
    "Found",
    "Get",
    "Item",
    "List",
    "Match",
    "Namespaces",
    "Op",
    "Put",
    "Search",
]


Label = Annotated[str, StringConstraints(pattern=r"^[^.\x00]+$", max_length=1_000)]
Labels = Annotated[list[Label], Field(max_length=100)]
Text = Annotated[str, StringConstraints(max_length=100_000), AfterValidator(writable)]
Some = Annotated[int, Field(ge=0, le=2**31)]


class Get(Shape):
    """One item, or null."""

    op: Literal["get"]
    namespace: Labels
    key: Text


class Put(Shape):
    """Write an item over the one that is there, or take it out.

    Attributes:
        value: Null takes it out.
        index: Paths of the texts that it is found by: ``$`` is all of the value, ``a.b`` a field,
            ``a[*]`` each of a list. With none it is not found by its meaning.
    """

    op: Literal["put"]
    namespace: Annotated[list[Label], Field(min_length=1, max_length=100)]
    key: Text
    value: Annotated[dict[str, JsonValue] | None, AfterValidator(writable)]
    index: Annotated[list[Text], Field(max_length=100, default_factory=list)]


class Search(Shape):
    """Items under a prefix.

    Attributes:
        filter: What fields have to be: a value, or comparisons such as ``{"$gte": 3}``; there are
            ``$eq, $ne, $gt, $gte, $lt, $lte``, the last four for numbers.
        query: In words; the nearest come first, and what has no index last.
    """

    op: Literal["search"]
    prefix: Annotated[Labels, Field(default_factory=list)]
    filter: dict[str, JsonValue] | None = None
    query: Text | None = None
    limit: Some = 10
    offset: Some = 0


class Match(Shape):
    """How a namespace has to begin or end; ``*`` is any label."""

    type: Literal["prefix", "suffix"]
    path: Labels


class List(Shape):
    """Namespaces that hold something, in order.

    Attributes:
        depth: Longer ones are cut to so many labels.
    """

    op: Literal["namespaces"]
    match: Annotated[list[Match], Field(max_length=100, default_factory=list)]
    depth: Annotated[int, Field(ge=1)] | None = None
    limit: Some = 100
    offset: Some = 0


Op = Annotated[Get | Put | Search | List, Field(discriminator="op")]


class Batch(Shape):
    """Some requests at once. All read what was there before; then all is written, or nothing."""

    ops: Annotated[list[Op], Field(max_length=10_000)]


class Item(Shape):
    """An item.

    Attributes:
        created: Seconds since the epoch.
        updated: Seconds since the epoch.
        score: Cosine to the query, from -1 to 1; null where there was none, or it has no index.
    """

    namespace: list[str]
    key: str
    value: dict[str, JsonValue]
    created: float
    updated: float
    score: float | None = None


class Found(Shape):
    """Items of a search."""

    items: list[Item]


class Namespaces(Shape):
    """Namespaces of a list."""

    namespaces: list[list[str]]


class Done(Shape):
    """One answer for each request, in their order: an item or null, items, namespaces, null for a put."""

    results: list[Item | Found | Namespaces | None]
