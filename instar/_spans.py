"""Behind `instar.tracing` where spans are on: OpenTelemetry's own objects, and where they are sent."""

from __future__ import annotations

import atexit
import json
import os
import sys
import threading
from collections.abc import Mapping, Sequence
from importlib import metadata
from types import TracebackType
from typing import Any

from opentelemetry import context, propagate, trace
from opentelemetry.sdk.resources import SERVICE_NAME, Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import (
    BatchSpanProcessor,
    ConsoleSpanExporter,
    SimpleSpanProcessor,
    SpanExporter,
)
from opentelemetry.trace import SpanKind, Status, StatusCode

from instar.errors import UserError
from instar.tracing import Span
from instar.types import Message, Reply, ToolSpec

__all__ = ["Tracer", "said"]

_LEAVING = 2.0
_UNNAMED = "unknown_service"
_GROUP = "opentelemetry_traces_exporter"
_EXTRA = "pip install 'instar[otel]'"


class Tracer:
    """Begins spans.

    Args:
        content: Whether they tell what was said.

    Raises:
        UserError: The environment names an exporter that is not installed.
    """

    def __init__(self, content: bool) -> None:
        self.content = content
        if isinstance(trace.get_tracer_provider(), trace.ProxyTracerProvider):
            trace.set_tracer_provider(_provider())
            # The provider itself would wait for a collector that is gone as long as an export may take.
            atexit.register(self.flush, _LEAVING)
        self._tracer = trace.get_tracer("instar", metadata.version("instar"))

    def operation(
        self,
        operation: str,
        target: str,
        attributes: Mapping[str, Any],
        client: bool = False,
        aside: bool = False,
    ) -> Span:
        """A span of the conventions for generative AI; one aside is no parent of what begins in it."""
        kind = SpanKind.CLIENT if client else SpanKind.INTERNAL
        known = _known({"gen_ai.operation.name": operation, **attributes})
        name = f"{operation} {target}" if target else operation
        return _Live(
            self._tracer.start_span(name, kind=kind, attributes=known), self.content, aside
        )

    def request(self, method: str, headers: Mapping[str, str]) -> Span:
        """A span of the conventions for HTTP."""
        parent = propagate.extract(headers)
        known = {"http.request.method": method, "url.scheme": "http"}
        begun = self._tracer.start_span(method, parent, SpanKind.SERVER, known)
        return _Live(begun, self.content)

    def flush(self, seconds: float) -> None:
        """Send what has ended; a collector that does not answer keeps nobody longer than this."""
        send = getattr(trace.get_tracer_provider(), "force_flush", None)
        if send is not None:
            thread = threading.Thread(target=send, daemon=True)
            thread.start()
            thread.join(seconds)


class _Live(Span):
    def __init__(self, begun: trace.Span, content: bool, aside: bool = False) -> None:
        self.content = content
        self._span, self._aside = begun, aside
        self._token: Any = None

    def __enter__(self) -> _Live:
        if not self._aside:
            self._token = context.attach(trace.set_span_in_context(self._span))
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if kind is not None:
            # Its message may hold what somebody said.
            self.failed(kind.__name__)
        if self._token is not None:
            context.detach(self._token)
        self._span.end()

    def set(self, attributes: Mapping[str, Any]) -> None:
        route = attributes.get("http.route")
        if route is not None:
            self._span.update_name(f"{attributes['http.request.method']} {route}")
        self._span.set_attributes(_known(attributes))

    def tell(self, attributes: Mapping[str, Any]) -> None:
        if self.content:
            self._span.set_attributes({k: _text(v) for k, v in attributes.items()})

    def failed(self, kind: str) -> None:
        self._span.set_attribute("error.type", kind)
        self._span.set_status(Status(StatusCode.ERROR))


def said(
    messages: Sequence[Message], tools: Sequence[ToolSpec], reply: Reply
) -> dict[str, list[dict[str, Any]]]:
    """What was asked and answered, in the form of the conventions: messages in parts."""
    calls = [_call(c.id, c.name, c.arguments) for c in reply.calls]
    parts = [*_texts(reply.content), *calls]
    answer = {"role": "assistant", "parts": parts, "finish_reason": reply.finish}
    asked = [{"role": m["role"], "parts": _parts(m)} for m in messages]
    found: dict[str, list[dict[str, Any]]] = {
        "gen_ai.input.messages": asked,
        "gen_ai.output.messages": [answer],
    }
    if tools:
        offered = [{"type": "function", **t.schema_openai()["function"]} for t in tools]
        found["gen_ai.tool.definitions"] = offered
    return found


def _parts(message: Message) -> list[dict[str, Any]]:
    if message["role"] == "tool":
        answered = {"id": message.get("tool_call_id"), "response": message.get("content")}
        return [{"type": "tool_call_response", **answered}]
    made = message.get("tool_calls") or ()
    calls = [_call(c.get("id"), c["function"]["name"], c["function"]["arguments"]) for c in made]
    return [*_texts(message.get("content")), *calls]


def _texts(content: Any) -> list[dict[str, Any]]:
    return [{"type": "text", "content": content}] if content else []


def _call(id: str | None, name: str, arguments: Any) -> dict[str, Any]:
    return {"type": "tool_call", "id": id, "name": name, "arguments": arguments}


def _known(attributes: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in attributes.items() if value is not None}


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)


# Where spans are sent


def _provider() -> TracerProvider:
    resource = Resource.create()
    if str(resource.attributes.get(SERVICE_NAME, _UNNAMED)).startswith(_UNNAMED):
        resource = resource.merge(Resource({SERVICE_NAME: "instar"}))
    provider = TracerProvider(resource=resource, shutdown_on_exit=False)
    for name in os.environ.get("OTEL_TRACES_EXPORTER", "otlp").split(","):
        _send(provider, name.strip())
    return provider


def _send(provider: TracerProvider, name: str) -> None:
    if name == "console":
        # Results of commands go to stdout.
        provider.add_span_processor(SimpleSpanProcessor(ConsoleSpanExporter(out=sys.stderr)))
    elif name not in ("none", ""):
        provider.add_span_processor(BatchSpanProcessor(_exporter(name)))


def _exporter(name: str) -> SpanExporter:
    if name == "otlp":
        asked = (f"OTEL_EXPORTER_OTLP_{part}PROTOCOL" for part in ("TRACES_", ""))
        protocol = next((p for n in asked if (p := os.environ.get(n))), "http/protobuf")
        name = f"otlp_proto_{protocol.removesuffix('/protobuf')}"
    found = metadata.entry_points(group=_GROUP, name=name)
    if not found:
        there = sorted({"console", "none", *metadata.entry_points(group=_GROUP).names})
        raise UserError(
            f"No exporter {name!r} of OpenTelemetry is installed; there are {', '.join(there)}. "
            f"Install it ({_EXTRA} has otlp), or set OTEL_TRACES_EXPORTER."
        )
    made: SpanExporter = next(iter(found)).load()()
    return made
