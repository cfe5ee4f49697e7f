"""Addresses of servers, as settings have them."""

from __future__ import annotations

from typing import Annotated
from urllib.parse import SplitResult, urlsplit

from pydantic import AfterValidator

__all__ = ["EXAMPLE", "Url", "place_of", "split"]

EXAMPLE = "http://127.0.0.1:8000"


def split(url: str) -> SplitResult:
    """The parts of an address of a server.

    Raises:
        ValueError: It is none: another scheme than http or https, no host, a wrong port, a query.
    """
    parts = urlsplit(url)
    # Asking for the port is what checks it.
    wrong = parts.scheme not in ("http", "https") or not parts.hostname or parts.port == 0
    if wrong or parts.query or parts.fragment or any(c.isspace() for c in url):
        raise ValueError(f"no address of a server: {url!r}")
    return parts


def place_of(url: str) -> str:
    """Host and port, for messages: without what may be a password."""
    return split(url).netloc.rpartition("@")[2]


def _checked(url: str) -> str:
    try:
        split(url)
    except ValueError as error:
        raise ValueError(f"Input should be the address of a server, such as {EXAMPLE}") from error
    return url


Url = Annotated[str, AfterValidator(_checked)]
"""The address of a server; anything else is refused with an example."""
