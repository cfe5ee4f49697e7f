"""Which addresses a page may reach: http and https on named hosts, nothing else.

The rule is applied three times from one list: to the address that an agent asks for, to each
request by routing (which can answer a blocked navigation with "stay where you are"), and by a proxy
setting of the browser context that leads every other host nowhere. The last one is needed because
routing never sees redirects, WebSockets and preconnects.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from urllib.parse import urljoin, urlsplit

__all__ = ["Hosts"]

_SCHEMES = ("http", "https", "ws", "wss")
_PORTS = {"http": 80, "ws": 80, "https": 443, "wss": 443}
_ENTRY = re.compile(r"(\[.*\]|[^:]*)(?::(\d+))?")
_NOWHERE = "http://127.0.0.1:9"


def _pattern(entry: str) -> str:
    found = _ENTRY.fullmatch(entry)
    host, port = found.groups() if found else (entry, "")
    name = r"[^/:@?#]+\." + re.escape(host[2:]) if host.startswith("*.") else re.escape(host)
    # Browsers leave out the usual port of a scheme.
    usual = not port or int(port) in _PORTS.values()
    return name + rf"(?::{port or '[0-9]+'})" + "?" * usual


class Hosts:
    """A set of allowed hosts.

    Args:
        entries: ``name``, ``name:port``, ``*.name`` or ``*``; without a port any port is meant.
    """

    def __init__(self, entries: Iterable[str]) -> None:
        self.entries = frozenset(e.strip().lower() for e in entries if e.strip())

    def allows(self, url: str) -> bool:
        """Whether a page may reach this address."""
        try:
            parts = urlsplit(url)
            port = parts.port
        except ValueError:
            return False
        if parts.scheme not in _SCHEMES or not parts.hostname:
            return False
        host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
        names = {"*", host, f"{host}:{port or _PORTS[parts.scheme]}"}
        names |= {f"*.{host.partition('.')[2]}"} if "." in host else set()
        return bool(names & self.entries)

    def foreign(self) -> re.Pattern[str]:
        """A pattern of all addresses that are not allowed, evaluated outside of this process."""
        named = "|".join(sorted(_pattern(e) for e in self.entries)) or r"(?!)"
        return re.compile(rf"^(?!(?:https?|wss?)://(?:{named})(?:[/?#]|$))", re.IGNORECASE)

    def refusal(self, url: str) -> str:
        """Why an address is refused, for the model."""
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https"):
            return (
                f"refused: {parts.scheme or 'no scheme'}: only http and https pages can be opened"
            )
        return f"refused: host {parts.netloc} is not allowed"

    def resolve(self, url: str, base: str) -> str:
        """An absolute address from what a model typed."""
        typed = url.strip()
        if re.match(r"^[\w.-]+(:\d+)(/|$)", typed) and not typed.startswith("/"):
            return f"http://{typed}"
        return urljoin(base, typed)

    def proxy(self) -> tuple[str, str] | None:
        """Proxy server and bypass list that lead every other host nowhere."""
        if "*" in self.entries:
            return None
        return _NOWHERE, ",".join(sorted(self.entries))
