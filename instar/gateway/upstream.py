"""Where requests go on to: a server that speaks OpenAI's format, byte by byte.

`aiohttp` asks it, because it takes a third of the time of the usual clients, and because it hands bodies over
as they come.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import TYPE_CHECKING, Any, Protocol, Self
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

from instar._urls import place_of

if TYPE_CHECKING:
    import aiohttp

__all__ = ["CHAT", "Answer", "Asked", "Fault", "Headers", "HttpUpstream", "Upstream"]

Headers = list[tuple[bytes, bytes]]
CHAT = "/chat/completions"

_CONNECT = 10.0
# Of one connection only (RFC 9110, section 7.6.1).
_HOP = frozenset(
    name.encode()
    for name in [
        "connection",
        "keep-alive",
        "proxy-authenticate",
        "proxy-authorization",
        "proxy-connection",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    ]
)
_OURS = b"instar-"


class Fault(Exception):
    """The model's server gave no answer.

    Args:
        said: One sentence.
        status: What the agent is answered with.
    """

    def __init__(self, said: str, status: int = 502) -> None:
        super().__init__(said)
        self.status = status


@dataclass(frozen=True)
class Asked:
    """A request as it goes on.

    Attributes:
        path: Below the base URL, with the query, as it was written.
        key: Sent instead of the caller's; None sends the caller's.
        body: All of it, or as it comes; None: none.
    """

    method: str
    path: str
    headers: Headers
    body: bytes | AsyncIterator[bytes] | None = None
    key: str | None = None


@dataclass(frozen=True)
class Answer:
    """An answer as it comes.

    Attributes:
        length: Bytes of the body, where they are known beforehand.
        body: Raises `Fault` where it breaks off.
        close: Lets go of what is left of it.
    """

    status: int
    headers: Headers
    length: int | None
    body: AsyncIterator[bytes]
    close: Callable[[], None] = lambda: None


class Upstream(Protocol):
    """Where requests go on to."""

    name: str

    async def ask(self, asked: Asked) -> Answer:
        """Pass a request on.

        Raises:
            Fault: There is no answer.
        """
        ...

    async def __aenter__(self) -> Self: ...

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None: ...


class HttpUpstream:
    """A server by its base URL.

    Args:
        url: Such as ``https://api.openai.com/v1``.
        timeout: Seconds between two signs of life.
    """

    def __init__(self, url: str, timeout: float = 600.0) -> None:
        self.name = place_of(url)
        self._url, self._timeout = url.rstrip("/"), timeout
        self._proxy = _proxy(url)
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        import aiohttp

        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0),
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=False,
            timeout=aiohttp.ClientTimeout(sock_connect=_CONNECT, sock_read=self._timeout),
            skip_auto_headers=("User-Agent", "Accept", "Accept-Encoding", "Content-Type"),
        )
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._session is not None:
            await self._session.close()

    async def ask(self, asked: Asked) -> Answer:
        """Pass a request on.

        Raises:
            Fault: There is no answer.
        """
        from yarl import URL

        assert self._session is not None, "the upstream is not open"
        with _explained(self.name, self._timeout):
            response = await self._session.request(
                asked.method,
                URL(f"{self._url}{asked.path}", encoded=True),
                headers=_onward(asked),
                data=asked.body,
                allow_redirects=False,
                proxy=self._proxy,
            )
        kept = [(k, v) for k, v in response.raw_headers if k.lower() not in _HOP]
        body = self._body(response)
        # A connection with nothing left on it is used again; any other is closed by this.
        return Answer(response.status, kept, response.content_length, body, response.close)

    async def _body(self, response: aiohttp.ClientResponse) -> AsyncIterator[bytes]:
        with _explained(self.name, self._timeout):
            async for chunk in response.content.iter_any():
                yield chunk


class _explained:
    """Makes of what a connection fails with a `Fault` of one sentence."""

    def __init__(self, name: str, timeout: float) -> None:
        self._name, self._timeout = name, timeout

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: Any, error: BaseException | None, trace: Any) -> None:
        import aiohttp

        if isinstance(error, aiohttp.ConnectionTimeoutError | aiohttp.ClientConnectorError):
            raise Fault(f"{self._name} cannot be reached: is the server running?") from error
        if isinstance(error, TimeoutError):
            raise Fault(f"{self._name} was silent for {self._timeout:g} s.", 504) from error
        if isinstance(error, aiohttp.ClientError | OSError | asyncio.IncompleteReadError):
            raise Fault(f"{self._name} broke the connection off.") from error
        if isinstance(error, ValueError):
            raise Fault("A header or the path of the request cannot be passed on.", 400) from error


def _onward(asked: Asked) -> Mapping[str, str]:
    """The headers of a request without those of its connection, and ours."""
    from multidict import CIMultiDict

    dropped = {b"host", b"expect"}
    if isinstance(asked.body, bytes):
        dropped |= {b"content-length"}
    if asked.path.partition("?")[0] == CHAT:
        dropped |= {b"accept-encoding"}  # the reply has to be read
    if asked.key is not None:
        dropped |= {b"authorization"}
    kept = [
        (_text(name), _text(value))
        for name, value in asked.headers
        if name not in _HOP and name not in dropped and not name.startswith(_OURS)
    ]
    if asked.key:
        kept.append(("authorization", f"Bearer {asked.key}"))
    return CIMultiDict(kept)


def _text(raw: bytes) -> str:
    try:
        return raw.decode()
    except UnicodeDecodeError:
        return raw.decode("latin-1")


def _proxy(url: str) -> str | None:
    """The proxy that the environment names for a URL."""
    parts = urlsplit(url)
    if proxy_bypass(parts.hostname or ""):
        return None
    return getproxies().get(parts.scheme)
