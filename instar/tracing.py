"""Spans of OpenTelemetry, by its conventions for generative AI; none unless the settings ask for them.

Where they are off, nothing of OpenTelemetry is imported and a span costs a comparison. Where they are
on, they go where the process sends its own; in a process that sends none, to where OpenTelemetry's
environment variables say. What was said, asked or remembered is told only on a second request.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from instar.errors import MissingExtra

if TYPE_CHECKING:
    from instar._spans import Tracer
    from instar.contracts import ChatModel
    from instar.types import Message, Reply, Sampling, ToolSpec

__all__ = ["Span", "chat", "flush", "request", "span", "start", "stop", "together"]

_tracer: Tracer | None = None


class Span:
    """An operation under way. This one is of a process that traces nothing: all it does is nothing."""

    content = False
    """Whether what was said may be told; look here before it is put together."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """End it; an exception goes on, and the span bears the name of its class."""

    def set(self, attributes: Mapping[str, Any]) -> None:
        """Say more about it; what is None is left out."""

    def tell(self, attributes: Mapping[str, Any]) -> None:
        """Say what was said, as JSON where it is no text; only where `content` is true."""

    def failed(self, kind: str) -> None:
        """Say that it did not succeed though nothing was raised.

        Args:
            kind: One of few words.
        """


_OFF = Span()


def start(content: bool = False) -> None:
    """Trace from here on, in the whole process; the second time it changes nothing.

    Args:
        content: Whether spans tell what was said, asked and remembered.

    Raises:
        MissingExtra: OpenTelemetry is not installed.
        UserError: Its environment variables name an exporter that is not installed.
    """
    global _tracer
    if _tracer is not None:
        return
    try:
        from instar._spans import Tracer
    except ImportError as error:
        raise MissingExtra("OpenTelemetry", "pip install 'instar[otel]'") from error
    _tracer = Tracer(content)


def stop() -> None:
    """Trace no longer."""
    global _tracer
    flush()
    _tracer = None


def flush(seconds: float = 2.0) -> None:
    """Send what has ended, for so long at most."""
    if _tracer is not None:
        _tracer.flush(seconds)


def span(
    operation: str,
    target: str = "",
    attributes: Mapping[str, Any] | None = None,
    client: bool = False,
) -> Span:
    """An operation, as long as the ``with`` block lasts; what begins in it belongs to it.

    Args:
        operation: As the conventions have it: ``chat``, ``execute_tool``, ``search_memory``...
        target: What the name of the span goes on with, such as the model or the tool.
        attributes: Known beforehand, by their full names.
        client: Whether another process does it.
    """
    if _tracer is None:
        return _OFF
    return _tracer.operation(operation, target, attributes or {}, client)


def together(operations: Sequence[tuple[str, Mapping[str, Any]]]) -> ExitStack:
    """Several operations that are done in one go, side by side."""
    stack = ExitStack()
    if _tracer is not None:
        for operation, attributes in operations:
            stack.enter_context(_tracer.operation(operation, "", attributes, aside=True))
    return stack


def request(method: str, headers: Mapping[str, str]) -> Span:
    """A request that is served; it belongs to the trace that its headers name.

    Args:
        method: Of HTTP.
        headers: By their names in lower case.
    """
    return _OFF if _tracer is None else _tracer.request(method, headers)


async def chat(
    model: ChatModel, messages: Sequence[Message], tools: Sequence[ToolSpec], sampling: Sampling
) -> Reply:
    """The answer of a model; all that ask one ask it through here.

    Raises:
        ModelFault: As the model does.
    """
    if _tracer is None:
        return await model.complete(messages, tools, sampling)
    known = {
        "gen_ai.provider.name": model.provider,
        "gen_ai.request.model": model.name,
        "gen_ai.request.max_tokens": sampling.max_tokens,
        "gen_ai.request.temperature": sampling.temperature,
        "gen_ai.request.top_p": sampling.top_p,
        "gen_ai.request.seed": sampling.seed,
    }
    with span("chat", model.name, known, client=True) as asked:
        reply = await model.complete(messages, tools, sampling)
        asked.set(
            {
                "gen_ai.response.model": reply.model or None,
                "gen_ai.response.finish_reasons": [reply.finish],
                "gen_ai.usage.input_tokens": reply.usage.prompt_tokens,
                "gen_ai.usage.output_tokens": reply.usage.completion_tokens,
            }
        )
        if asked.content:
            from instar import _spans

            asked.tell(_spans.said(messages, tools, reply))
    return reply
