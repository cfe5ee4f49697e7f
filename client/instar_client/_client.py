"""The way to the service: within a budget, open to failure, and with redaction before anything leaves."""

from __future__ import annotations

import atexit
import contextlib
import logging
import os
import queue
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future
from concurrent.futures import TimeoutError as TooLate
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

import httpx

from instar_client._session import Session

__all__ = ["API", "Client", "Counts", "client", "session", "use_session"]

API = 1
"""Version of what is spoken with the service."""

_URL = "http://127.0.0.1:8765"
_BUDGET = 0.15
_WAITING = 1_000
_PATIENCE = 10.0
_LEAVING = 2.0
_LOG = logging.getLogger("instar_client")
_PREPARED: ContextVar[str | None] = ContextVar("instar_session", default=None)


@dataclass
class Counts:
    """What became of requests.

    Attributes:
        sent: Answered by the service.
        late: Not answered within the budget of a call that waits.
        failed: Not answered at all, or with a refusal; `last` says how.
        dropped: Reports given up because too many were waiting.
        last: What went wrong last.
    """

    sent: int = 0
    late: int = 0
    failed: int = 0
    dropped: int = 0
    last: str = ""


@dataclass
class _Job:
    path: str
    body: Mapping[str, Any]
    done: Future[Any]
    begun: Future[Any] | None = None


class Client:
    """A connection to a service; one serves all sessions of a process, in any thread.

    Args:
        url: Of the service; by default ``INSTAR_URL``, else the one on this machine.
        token: By default ``INSTAR_TOKEN``.
        budget: Seconds that a call may keep the agent waiting; by default ``INSTAR_BUDGET``, else 0.15.
        shadow: Recall and record, and give the agent nothing; by default so where ``INSTAR_SHADOW`` is
            set.
        redact: Applied to every text before it is sent.
        enabled: False sends nothing; by default so where ``INSTAR_OFF`` is set.
    """

    def __init__(
        self,
        url: str | None = None,
        token: str | None = None,
        budget: float | None = None,
        shadow: bool | None = None,
        redact: Callable[[str], str] | None = None,
        enabled: bool | None = None,
    ) -> None:
        self.url = (url or os.environ.get("INSTAR_URL") or _URL).rstrip("/")
        self.budget = _budget() if budget is None else budget
        self.shadow = bool(os.environ.get("INSTAR_SHADOW")) if shadow is None else shadow
        self.enabled = not os.environ.get("INSTAR_OFF") if enabled is None else enabled
        self.counts = Counts()
        self._token = token if token is not None else os.environ.get("INSTAR_TOKEN", "")
        self._redact = redact
        self._jobs: queue.Queue[_Job | None] = queue.Queue(_WAITING)
        self._lock = threading.Lock()
        self._worker: threading.Thread | None = None

    @property
    def headers(self) -> dict[str, str]:
        """What every request bears."""
        token = {"Authorization": f"Bearer {self._token}"} if self._token else {}
        return {"Instar-API": str(API), **token}

    def session(
        self,
        agent: str,
        task: str,
        subject: str | None = None,
        tools: list[dict[str, Any]] | None = None,
        model: str = "unknown",
    ) -> Session:
        """Begin a session; it costs no time, for nothing is waited for.

        Where Instar has prepared a session (`use_session`, or ``INSTAR_SESSION``) that one is taken
        up instead. Its agent is being measured, and a late answer would spoil that: its calls wait
        for the service, ten seconds at most.

        Args:
            agent: Whose experience it becomes.
            task: What was asked of the agent.
            subject: Whom it is about, such as a customer; what is learnt of one is not told to another.
            tools: At the agent's hand, in OpenAI's form.
            model: What answers.
        """
        body = {"agent": agent, "task": task, "shadow": self.shadow, "model": model}
        body |= {"subject": subject} if subject else {}
        body |= {"tools": tools} if tools else {}
        prepared = _PREPARED.get() or os.environ.get("INSTAR_SESSION")
        body |= {"session": prepared} if prepared else {}
        begun = self.send("/v1/sessions", body)
        return Session(self, begun, _PATIENCE if prepared else None)

    def resume(self, id: str) -> Session:
        """A session that began earlier, or in another process, by its id."""
        begun: Future[Any] = Future()
        begun.set_result({"session": id} if self.enabled else None)
        return Session(self, begun)

    def send(self, path: str, body: Mapping[str, Any]) -> Future[Any]:
        """Send a request behind the caller's back; the future holds the answer, or None.

        Requests go out one after the other, so that a report never overtakes its session.
        """
        return self._put(path, body, None)

    def send_of(self, begun: Future[Any], what: str, body: Mapping[str, Any]) -> Future[Any]:
        """Send something of a session; where it could not begin, nothing is sent."""
        return self._put(what, body, begun)

    def _put(self, path: str, body: Mapping[str, Any], begun: Future[Any] | None) -> Future[Any]:
        done: Future[Any] = Future()
        if not self.enabled:
            done.set_result(None)
            return done
        try:
            self._start()
            self._jobs.put_nowait(_Job(path, self.clean(body), done, begun))
        except queue.Full:
            self.counts.dropped += 1
            self.counts.last = "too many reports are waiting"
            done.set_result(None)
        except Exception as error:  # noqa: BLE001 - a broken redaction must not reach the agent
            self._failed(f"not sent: {error!r}", done)
        return done

    def wait(self, done: Future[Any], until: float) -> Any:
        """The answer to a request, or None where it does not come in time.

        Args:
            until: Seconds by ``time.monotonic``.
        """
        try:
            return done.result(max(0.0, until - time.monotonic()))
        except TooLate:
            self.counts.late += 1
            return None

    def flush(self, seconds: float = _LEAVING) -> bool:
        """Wait until everything is sent; whether it is."""
        until = time.monotonic() + seconds
        while self._jobs.unfinished_tasks and time.monotonic() < until:
            time.sleep(0.005)
        return not self._jobs.unfinished_tasks

    def close(self, seconds: float = _LEAVING) -> None:
        """Send what is waiting, for so many seconds at most, and stop."""
        if self._worker is None:
            return
        self.flush(seconds)
        with contextlib.suppress(queue.Full):
            self._jobs.put_nowait(None)

    def _start(self) -> None:
        with self._lock:
            if self._worker is None or not self._worker.is_alive():
                self._worker = threading.Thread(target=self._work, name="instar", daemon=True)
                self._worker.start()
                atexit.register(self.close, max(_LEAVING, self.budget))

    def _work(self) -> None:
        # Reading the certificates takes a good part of the budget, and plain HTTP needs none.
        verify = not self.url.startswith("http:")
        with httpx.Client(
            base_url=self.url, headers=self.headers, timeout=_PATIENCE, verify=verify
        ) as http:
            while True:
                job = self._jobs.get()
                try:
                    if job is None:
                        return
                    self._one(http, job)
                finally:
                    self._jobs.task_done()

    def _one(self, http: httpx.Client, job: _Job) -> None:
        try:
            path = job.path
            if job.begun is not None:
                # Done by now: it stood before this one in the queue.
                known = job.begun.result(0) if job.begun.done() else None
                if not known:
                    # Why it did not is what failed before; that should stay to be read.
                    raise ValueError(self.counts.last or "its session never began")
                path = f"/v1/sessions/{known['session']}/{job.path}"
            answer = http.post(path, json=job.body)
            if answer.status_code >= 400:
                raise ValueError(f"{answer.status_code}: {_said(answer)}")
            found = answer.json()
        except Exception as error:  # noqa: BLE001 - whatever it is, the agent goes on
            self._failed(str(error) or type(error).__name__, job.done)
            return
        self.counts.sent += 1
        job.done.set_result(found)

    def _failed(self, why: str, done: Future[Any]) -> None:
        self.counts.failed += 1
        self.counts.last = why
        if not done.done():
            done.set_result(None)

    def clean(self, value: Any) -> Any:
        """The same with every text redacted, keys left alone."""
        if isinstance(value, str):
            return self._redact(value) if self._redact else value
        if isinstance(value, Mapping):
            return {str(key): self.clean(inner) for key, inner in value.items()}
        if isinstance(value, (list, tuple)):
            return [self.clean(inner) for inner in value]
        return value


def _budget() -> float:
    """That of the environment; a mistake in it must not stop the agent, so a log says it."""
    told = os.environ.get("INSTAR_BUDGET", "")
    try:
        return max(0.0, float(told)) if told else _BUDGET
    except ValueError:
        _LOG.warning("INSTAR_BUDGET is %r: set it to seconds, such as 0.15", told)
        return _BUDGET


def _said(answer: httpx.Response) -> str:
    try:
        return str(answer.json()["error"])
    except (ValueError, TypeError, KeyError):
        return answer.text[:200]


_shared: Client | None = None
_sharing = threading.Lock()


def client() -> Client:
    """The client that `session` uses, made from the environment."""
    global _shared
    with _sharing:
        if _shared is None:
            _shared = Client()
        return _shared


@contextlib.contextmanager
def use_session(id: str | None) -> Iterator[None]:
    """Sessions that begin in here, in this thread or task, take up one that Instar has prepared.

    Args:
        id: As Instar sends it to a served agent, in the header ``Instar-Session`` and as ``session``
            in the body; None changes nothing.
    """
    before = _PREPARED.set(id or _PREPARED.get())
    try:
        yield
    finally:
        _PREPARED.reset(before)


def session(agent: str, task: str, **more: Any) -> Session:
    """Begin a session with the client of the environment; see `Client.session`."""
    return client().session(agent, task, **more)
