"""Tool calls out of plain text, in the formats that open models emit.

Hermes and Qwen write ``<tool_call>{json}</tool_call>``, Mistral ``[TOOL_CALLS] [...]``, Llama 3 bare
JSON or ``<|python_tag|>``, Llama 4 and LFM2 a Python list of calls, pocket one compact line a call,
where a bare ``-`` stands for an argument that is not given. Formats with a marker go first; the ones
without a marker are only accepted where the whole reply is calls, for prose may well hold brackets.
What cannot be decoded becomes a call with the raw text as its only argument, so that the toolset can
tell the model what was wrong.
"""

from __future__ import annotations

import ast
import json
import re
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, TypeAlias

from instar.types import ToolCall, ToolSpec

__all__ = ["RAW", "decode_arguments", "parse_reply"]

RAW = "undecodable_arguments"
"""Name of the one argument of a call whose arguments could not be decoded."""

_Pair: TypeAlias = tuple[str, dict[str, Any]]
_Specs: TypeAlias = Mapping[str, ToolSpec]
_Parsed: TypeAlias = tuple[str, list[_Pair]]

_END = re.compile(r"(?:\s*(?:<\|(?:end|im_end|eot|eot_id|eom_id|endoftext|pad)\|>|</s>))+\s*$")
_HERMES = re.compile(r"<tool_call>\s*(.*?)\s*(?:</tool_call>|(?=<tool_call>)|$)", re.DOTALL)
_MISTRAL_NAMED = re.compile(r"\s*([\w.-]+)\s*(?:\[CALL_ID\][^\[\s]*)?\s*(?:\[ARGS\])?\s*(?=\{)")
_FENCE = re.compile(r"^```(?:json|python|tool_code)?\s*\n(.*?)\n?```$", re.DOTALL)
_PYTHON_MARKS = re.compile(
    r"(?:<\|tool_call_start\|>|<\|python_start\|>)(.*?)(?:<\|tool_call_end\|>|<\|python_end\|>|$)",
    re.DOTALL,
)
_COMPACT = re.compile(r'"((?:\\"|[^"])*)(?:"|$)|(\S+)')
_NAME = re.compile(r'"name"\s*:\s*"([^"]+)"')
_LONGEST = 50_000
_PYTHON_TYPES: dict[str, tuple[type, ...]] = {
    "integer": (int,),
    "number": (int, float),
    "array": (list,),
    "object": (dict,),
}


def parse_reply(text: str, tools: Sequence[ToolSpec]) -> tuple[str, tuple[ToolCall, ...]]:
    """Part a model's plain text into content and tool calls.

    Args:
        text: What the model wrote, special tokens included where the tokenizer kept them.
        tools: The tools it was offered; positional arguments take their names from the schema.

    Returns:
        The text around the calls, and the calls in the order written.
    """
    specs = {t.name: t for t in tools}
    body = _END.sub("", text)
    # A thought may show examples of calls; only what follows it is meant.
    start = body.rfind("</think>") + len("</think>") if "</think>" in body else 0
    for parse in _FORMATS:
        parsed = parse(body[start:].strip(), specs)
        if parsed is not None:
            content = f"{body[:start]}\n{parsed[0]}" if start else parsed[0]
            calls = (
                ToolCall(id=f"call_{i}", name=name, arguments=arguments)
                for i, (name, arguments) in enumerate(parsed[1], 1)
            )
            return content.strip(), tuple(calls)
    return body.strip(), ()


def decode_arguments(raw: object) -> dict[str, Any]:
    """Arguments as a mapping, from a JSON string or from what is one already."""
    if isinstance(raw, Mapping):
        return {str(k): v for k, v in raw.items()}
    if raw is None or (isinstance(raw, str) and not raw.strip()):
        return {}
    value = _json(raw) if isinstance(raw, str) else None
    return value if isinstance(value, dict) else {RAW: str(raw)}


def _json(text: str) -> Any:
    try:
        return json.loads(text, strict=False)
    except (ValueError, RecursionError):
        return None


def _pair(value: Any) -> _Pair | None:
    """Name and arguments out of one decoded JSON object, in any of its dialects."""
    if not isinstance(value, dict):
        return None
    inner = value.get("function")
    if isinstance(inner, dict):
        value = inner
    name = value.get("name", inner)
    if not isinstance(name, str) or not name:
        return None
    return name, decode_arguments(value.get("arguments", value.get("parameters")))


def _pair_of_text(text: str) -> _Pair | None:
    """As `_pair`; broken JSON that still names a tool is a call that can be answered."""
    found = _pair(_json(text))
    if found is not None:
        return found
    name = _NAME.search(text)
    return (name.group(1), {RAW: text}) if name else None


def _json_values(text: str) -> Iterator[Any]:
    """Decode JSON values that follow each other, parted by blanks, ``;`` or ``,``."""
    decoder = json.JSONDecoder(strict=False)
    at = 0
    while at < len(text):
        try:
            value, at = decoder.raw_decode(text, at)
        except (ValueError, RecursionError):
            return
        yield from value if isinstance(value, list) else [value]
        while at < len(text) and text[at] in " \t\r\n;,":
            at += 1


def _hermes(text: str, specs: _Specs) -> _Parsed | None:
    pairs = [p for m in _HERMES.finditer(text) if (p := _pair_of_text(m.group(1))) is not None]
    return (_HERMES.sub("", text), pairs) if pairs else None


def _mistral(text: str, specs: _Specs) -> _Parsed | None:
    content, mark, rest = text.partition("[TOOL_CALLS]")
    if not mark:
        return None
    pairs: list[_Pair] = []
    for part in rest.split("[TOOL_CALLS]"):
        named = _MISTRAL_NAMED.match(part)
        if named:
            raw = part[named.end() :].strip()
            pairs.append((named.group(1), decode_arguments(raw)))
            continue
        found = [p for v in _json_values(part.strip()) if (p := _pair(v)) is not None]
        whole = _pair_of_text(part) if not found else None
        pairs += found or ([whole] if whole else [])
    return (content, pairs) if pairs else None


def _python_tag(text: str, specs: _Specs) -> _Parsed | None:
    content, mark, rest = text.partition("<|python_tag|>")
    if not mark:
        return None
    pairs = [p for v in _json_values(rest.strip()) if (p := _pair(v)) is not None]
    pairs = pairs or _calls_of_python(rest.strip(), specs)
    whole = _pair_of_text(rest) if not pairs else None
    pairs = pairs or ([whole] if whole else [])
    return (content, pairs) if pairs else None


def _bare_json(text: str, specs: _Specs) -> _Parsed | None:
    fenced = _FENCE.match(text)
    body = fenced.group(1).strip() if fenced else text
    if not body.startswith(("{", "[{", "[ {")):
        return None
    values = list(_json_values(body))
    pairs = [p for v in values if _looks_like_call(v) and (p := _pair(v)) is not None]
    return ("", pairs) if pairs and len(pairs) == len(values) else None


def _looks_like_call(value: Any) -> bool:
    return isinstance(value, dict) and bool({"arguments", "parameters", "function"} & set(value))


def _pythonic(text: str, specs: _Specs) -> _Parsed | None:
    marked = _PYTHON_MARKS.search(text)
    if marked:
        pairs = _calls_of_python(marked.group(1).strip(), specs)
        return (text[: marked.start()] + text[marked.end() :], pairs) if pairs else None
    fenced = _FENCE.match(text)
    body = fenced.group(1).strip() if fenced else text
    if not body.startswith("["):
        return None
    for end in [body.rfind("]"), body.find("]")]:
        pairs = _calls_of_python(body[: end + 1], specs)
        if pairs and pairs[0][0] in specs:
            return body[end + 1 :], pairs
    return None


def _calls_of_python(text: str, specs: _Specs) -> list[_Pair]:
    """Calls of a Python expression that is a call or a list of calls; nothing is ever evaluated."""
    if len(text) > _LONGEST:
        return []
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            node = ast.parse(text, mode="eval").body
        nodes = node.elts if isinstance(node, ast.List | ast.Tuple) else [node]
        return [_call_of_node(n, specs) for n in nodes]
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return []


def _call_of_node(node: ast.expr, specs: _Specs) -> _Pair:
    if not isinstance(node, ast.Call):
        raise ValueError("not a call")
    name = ast.unparse(node.func)
    arguments = _named([_literal(a) for a in node.args], specs.get(name))
    arguments |= {k.arg: _literal(k.value) for k in node.keywords if k.arg}
    return name, arguments


def _literal(node: ast.expr) -> Any:
    if isinstance(node, ast.Name) and node.id in {"true", "false", "null"}:
        return {"true": True, "false": False, "null": None}[node.id]
    # Through JSON, for arguments hold nothing else: no sets, no bytes, no tuples.
    try:
        return json.loads(json.dumps(ast.literal_eval(node)))
    except TypeError as error:
        raise ValueError("not a JSON value") from error


def _named(values: Sequence[Any], spec: ToolSpec | None) -> dict[str, Any]:
    """Positional values by the names of the schema; surplus ones get a name that no tool has."""
    names = spec.argument_names() if spec else ()
    return {names[i] if i < len(names) else f"argument_{i + 1}": v for i, v in enumerate(values)}


def _compact(text: str, specs: _Specs) -> _Parsed | None:
    content, *lines = text.split("<|call|>")
    pairs = [p for line in lines if (p := _compact_call(line, specs)) is not None]
    return (content, pairs) if pairs else None


def _compact_call(line: str, specs: _Specs) -> _Pair | None:
    name, _, rest = line.strip().partition(" ")
    if not name:
        return None
    values = [
        None if bare == "-" else bare or quoted.replace('\\"', '"')
        for quoted, bare in (m.groups(default="") for m in _COMPACT.finditer(rest))
    ]
    spec = specs.get(name)
    properties = spec.parameters.get("properties", {}) if spec else {}
    given = {k: v for k, v in _named(values, spec).items() if v is not None}
    return name, {k: _coerce(v, properties.get(k, {})) for k, v in given.items()}


def _coerce(text: str, schema: Mapping[str, Any]) -> Any:
    """A value in the type of its schema; text that does not fit stays text, for the tool to refuse."""
    options = [schema, *schema.get("anyOf", ())]
    kinds: set[str] = set()
    for option in options:
        kind = option.get("type", ())
        kinds |= {kind} if isinstance(kind, str) else set(kind)
    if not kinds or "string" in kinds:
        return text
    value = _json(text.lower() if "boolean" in kinds else text)
    return value if any(_fits(value, k) for k in kinds) else text


def _fits(value: Any, kind: str) -> bool:
    if isinstance(value, bool):
        return kind == "boolean"
    return isinstance(value, _PYTHON_TYPES.get(kind, ()))


_FORMATS: tuple[Callable[[str, _Specs], _Parsed | None], ...] = (
    _compact,
    _hermes,
    _mistral,
    _python_tag,
    _bare_json,
    _pythonic,
)
