"""Keeps a Python process on loopback; Python loads a module of this name when it starts.

`tests/conftest.py` installs it in the test process and puts this folder on `PYTHONPATH`, so every
Python child has it too. Attempts are kept in ``refused``: code under test may well swallow the
error, so conftest looks there after each test.
"""

import functools
import ipaddress
import socket
from collections.abc import Callable
from typing import Any

refused: list[str] = []


def _is_loopback(host: object) -> bool:
    if isinstance(host, bytes):
        host = host.decode()
    if host in (None, "", "localhost", socket.gethostname()):
        return True
    try:
        address = ipaddress.ip_address(str(host).split("%")[0])
    except ValueError:
        return False
    return address.is_loopback or address.is_unspecified


def _refuse(host: object) -> None:
    refused.append(str(host))
    raise PermissionError(f"Tests stay on loopback; something asked for {host!r}.")


def _guard_method(name: str) -> None:
    original: Callable[..., Any] = getattr(socket.socket, name)

    @functools.wraps(original)
    def guarded(self: socket.socket, *arguments: Any) -> Any:
        # The address comes last in connect, connect_ex and sendto alike.
        if self.family in (socket.AF_INET, socket.AF_INET6) and not _is_loopback(arguments[-1][0]):
            _refuse(arguments[-1][0])
        return original(self, *arguments)

    setattr(socket.socket, name, guarded)


def _guard_lookup(name: str) -> None:
    original: Callable[..., Any] = getattr(socket, name)

    @functools.wraps(original)
    def guarded(host: object, *arguments: Any, **options: Any) -> Any:
        if not _is_loopback(host):
            _refuse(host)
        return original(host, *arguments, **options)

    setattr(socket, name, guarded)


def install() -> None:
    """Guard the sockets of this process; a second call changes nothing."""
    if hasattr(socket.getaddrinfo, "__wrapped__"):
        return
    for name in ("connect", "connect_ex", "sendto"):
        _guard_method(name)
    for name in ("getaddrinfo", "gethostbyname", "gethostbyname_ex"):
        _guard_lookup(name)


install()
