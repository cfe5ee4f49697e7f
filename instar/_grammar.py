"""What a local model may say next, so that its answer is a call of a tool that it was offered.

The tools become a grammar, and at each token a parser (llguidance) tells which others go on with
it. Free text may stand before the calls. Two formats are known. Hermes' and Qwen's
``<tool_call>{json}</tool_call>`` follows the tools' JSON schemas, arguments in their order. Pocket's
compact lines are described in the strings of its tokens, where a mark begins every word and the
blank between two words is implied, so that an answer always is text as the tokenizer itself cuts it.

An answer that nears its limit of tokens, or babbles, is led to its end by a short way: the text
before a call ends, values are closed where they stand. Left out on purpose: other formats, and in
compact lines what a schema says beyond type and enumeration, in JSON texts that hold ``</tool_call>``.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Protocol

import numpy as np

from instar._decoding import Guide, Mask
from instar.errors import MissingExtra, UserError
from instar.render import quote
from instar.types import ToolSpec

__all__ = ["Guides"]

_MARK = "▁"
_PLAIN = rf"{_MARK}[A-Za-z0-9]+|[^A-Za-z0-9{_MARK}\"\\\x00-\x1f\x7f]"
_NUMBER = rf"-?{_MARK}(0|[1-9][0-9]*)"
# A mark of a call, or the end of a thought, inside a value would be read as one.
_FOREIGN = r"/(?s:.*)(<\||<\/▁think>)(?s:.*)/"
_TERMINALS = rf"""
SAID: /({_PLAIN}|[\\"])+/ & ~{_FOREIGN}
TEXT: / "({_PLAIN}|\\+({_PLAIN}|"))*"/ & ~{_FOREIGN}
INTEGER: / "{_NUMBER}"/
NUMBER: / "{_NUMBER}(\.{_MARK}[0-9]+)?"/
BOOLEAN: / "{_MARK}(true|false)"/
NEXT_REFERENCE: /{_MARK}e[0-9]{{1,3}}/
REFERENCE: / {_MARK}e[0-9]{{1,3}}/
"""
_TYPES = {"integer": "INTEGER", "number": "NUMBER", "boolean": "BOOLEAN"}
_SHORT = 8
"""Tokens of a short value in a compact line, and of what may be left open when the end is called for."""
_SLACK = 24
"""As `_SHORT`, for a whole call in JSON, where what is forced is written in few tokens."""
_KNOWN = 32
"""Sets of tools whose grammars are kept."""
_SWITCH_OFF = "Switch the grammar off: -o model.constrained=false"


class _Format(Protocol):
    """How a model writes calls.

    Attributes:
        table: Its tokens, as an `llguidance.LLTokenizer`.
        closers: See `Guide`.
    """

    table: Any
    closers: list[Mask]

    def grammar(self, tools: Sequence[ToolSpec]) -> str:
        """Answers that call these tools, in Lark's syntax."""

    def reserve(self, tool: ToolSpec) -> int:
        """Tokens that a short call may take."""


class Guides:
    """Ways through the answers of one model.

    Args:
        tokenizer: A fast tokenizer with a chat template.
        width: Number of the model's logits.
        stops: Tokens that end an answer.

    Raises:
        UserError: The template asks for calls in a format that is not known here.
    """

    def __init__(self, tokenizer: Any, width: int, stops: Sequence[int]) -> None:
        try:
            import llguidance
        except ImportError as error:
            raise MissingExtra("llguidance", "pip install 'instar[local]'") from error
        self._matcher: Callable[[Any, str], Any] = llguidance.LLMatcher
        self._format = _format(tokenizer, width, stops)
        self._known: dict[tuple[str, ...], tuple[Any, int]] = {}

    def start(self, tools: Sequence[ToolSpec]) -> Guide:
        """The way through an answer that calls one or more of the tools."""
        key = tuple(t.model_dump_json() for t in tools)
        if key not in self._known:
            matcher = self._matcher(self._format.table, self._format.grammar(tools))
            if matcher.is_error():
                raise UserError(
                    f"No grammar can be made of these tools: {matcher.get_error()}. {_SWITCH_OFF}"
                )
            if len(self._known) >= _KNOWN:
                del self._known[next(iter(self._known))]
            self._known[key] = matcher, max(map(self._format.reserve, tools))
        matcher, reserve = self._known[key]
        return Guide(matcher.deep_copy(), self._format.closers, reserve)


def _format(tokenizer: Any, width: int, stops: Sequence[int]) -> _Format:
    added: Mapping[str, int] = tokenizer.get_added_vocab()
    template = str(tokenizer.chat_template)
    if "<|call|>" in added and "<|call|>" in template:
        return _Compact(tokenizer, width, stops)
    json_calls = "arguments" in template and not re.search("<function=|<arg_key>", template)
    if {"<tool_call>", "</tool_call>"} <= set(added) and "<tool_call>" in template and json_calls:
        return _Hermes(tokenizer, width, stops)
    raise UserError(
        "The model's chat template asks for calls in a format that has no grammar here "
        f"(known: pocket's, and <tool_call> with JSON). {_SWITCH_OFF}"
    )


def _mask(width: int, tokens: Sequence[int]) -> Mask:
    mask = np.zeros(width, np.bool_)
    mask[list(tokens)] = True
    return mask


class _Compact:
    """Pocket's lines: ``NAME "value" e7 - "another"``, ``-`` for what is left out in the middle."""

    def __init__(self, tokenizer: Any, width: int, stops: Sequence[int]) -> None:
        from llguidance import LLTokenizer, TokenizerWrapper

        self._normal: Callable[[str], str] = tokenizer.backend_tokenizer.normalizer.normalize_str
        self._call, ends = tokenizer.convert_tokens_to_ids(["<|call|>", '"'])
        self.closers = [_mask(width, tokens) for tokens in (stops, [self._call], [ends])]
        strings = TokenizerWrapper(_Strings(tokenizer, width))
        self.table = LLTokenizer(strings, eos_token=list(stops), slices=[])

    def grammar(self, tools: Sequence[ToolSpec]) -> str:
        """One rule a tool for its name, and for each argument what may follow from there."""
        rules = [
            f"call{k}: {_literal(self._normal(t.name))} {self._tail(t, k, 0, self._wordy(t))}"
            for k, t in enumerate(tools)
        ]
        rules += [rule for k, tool in enumerate(tools) for rule in self._rules(tool, k)]
        calls = " | ".join(f"call{k}" for k in range(len(tools)))
        start = f"start: SAID? (<[{self._call}]> ({calls}))+"
        # Forced bytes would be cut into tokens by a tokenizer that knows nothing of the marks.
        return "\n".join(['%llguidance {"no_forcing": true}', start, *rules, _TERMINALS])

    def reserve(self, tool: ToolSpec) -> int:
        """Its name byte by byte, and each argument as short as it gets."""
        schemas = tool.parameters.get("properties", {}).values()
        texts = [max((len(quote(v)) for v in _enumerated(s)), default=0) for s in schemas]
        return len(self._normal(tool.name).encode()) + sum(_SHORT + n for n in texts) + _SHORT

    def _wordy(self, tool: ToolSpec) -> bool:
        return self._normal(tool.name)[-1:].isalnum()

    def _rules(self, tool: ToolSpec, k: int) -> Iterator[str]:
        """What may stand from each argument on, if anything does; after a word, and after none."""
        names = tool.argument_names()
        required = tool.parameters.get("required") or ()
        for i, name in enumerate(names):
            for wordy in (True, False):
                options = [
                    f"{value} {self._tail(tool, k, i + 1, ends)}"
                    for value, ends in self._values(tool, name, wordy)
                ]
                if name not in required and i + 1 < len(names):
                    options.append(f'" -" {_rule(k, i + 1, False)}')
                yield f"{_rule(k, i, wordy)}: {' | '.join(options)}"

    def _tail(self, tool: ToolSpec, k: int, i: int, wordy: bool) -> str:
        """What follows when the arguments before ``i`` are written."""
        rest = set(tool.argument_names()[i:])
        needed = rest & set(tool.parameters.get("required") or ())
        return _rule(k, i, wordy) + ("" if needed else "?") if rest else ""

    def _values(self, tool: ToolSpec, name: str, wordy: bool) -> list[tuple[str, bool]]:
        """Ways to write a value, and whether each ends with a word."""
        schema = tool.parameters.get("properties", {}).get(name, {})
        reference = ("NEXT_REFERENCE" if wordy else "REFERENCE", True)
        if values := _enumerated(schema):
            before = self._normal("a" if wordy else '"')
            texts = [self._normal(f"{before[-1]} {quote(v)}").removeprefix(before) for v in values]
            return [(_literal(t), t[-1:].isalnum()) for t in texts]
        if name in tool.volatile:
            return [reference]
        kinds = _kinds(schema)
        if kinds and kinds <= set(_TYPES):
            return [(_TYPES[kind], False) for kind in sorted(kinds)]
        return [("TEXT", False), reference]


class _Strings:
    """A tokenizer as llguidance takes it, whose tokens are their own strings."""

    def __init__(self, tokenizer: Any, width: int) -> None:
        self.eos_token_id, self.bos_token_id = tokenizer.eos_token_id, None
        self.special_token_ids = sorted(tokenizer.get_added_vocab().values())
        self.tokens = [b""] * width
        for text, token in tokenizer.get_vocab().items():
            byte = re.fullmatch("<0x([0-9A-F]{2})>", text)
            self.tokens[token] = bytes.fromhex(byte[1]) if byte else text.encode()

    def __call__(self, text: bytes) -> list[int]:
        """Asked for only where a grammar forces bytes, which ours does not."""
        raise RuntimeError(f"a grammar forces {text!r}, and is not to force anything")


class _Hermes:
    """``<tool_call>`` with name and arguments in JSON, as Hermes and Qwen write it."""

    def __init__(self, tokenizer: Any, width: int, stops: Sequence[int]) -> None:
        from llguidance import hf

        self._tokenizer = tokenizer
        added = self._added = tokenizer.get_added_vocab()
        texts = [(t, i) for t, i in tokenizer.get_vocab().items() if i < width]
        ends = [
            [added["<tool_call>"]],
            [i for t, i in texts if t == "</think>"],
            [i for t, i in texts if re.fullmatch(r'"[}\]]*', t)],
            [i for t, i in texts if re.fullmatch(r"[}\]]+", t)],
        ]
        self.closers = [_mask(width, tokens) for tokens in (stops, *ends)]
        self.table = hf.from_tokenizer(tokenizer, width, list(stops))

    def grammar(self, tools: Sequence[ToolSpec]) -> str:
        """Each tool by its schema, so that references inside that resolve."""
        added = self._added
        options = "\n  | ".join(
            f"{_literal(_head(t))} %json {json.dumps(_schema(t))} {_literal('}')}" for t in tools
        )
        opens, closes = added["<tool_call>"], added["</tool_call>"]
        thought = ""
        if {"<think>", "</think>"} <= set(added):
            thought = f"(<[{added['<think>']}]>? SAID? <[{added['</think>']}]>)? "
        return "\n".join(
            [
                f'start: {thought}SAID? call ("\\n" call)*',
                f'call: <[{opens}]> "\\n" body "\\n" <[{closes}]>',
                f"body: {options}",
                "SAID: /(?s:.+)/",
            ]
        )

    def reserve(self, tool: ToolSpec) -> int:
        """A call with what is required, texts empty, and whatever is nested as long as its schema."""
        properties, required = (tool.parameters.get(k) or {} for k in ("properties", "required"))
        longest = {
            name: max(map(str, _enumerated(properties.get(name, {}))), key=len, default="")
            if not _kinds(properties.get(name, {})) & {"object", "array"}
            else properties[name]
            for name in required
        }
        text = _head(tool) + json.dumps(longest)
        return len(self._tokenizer(text, add_special_tokens=False)["input_ids"]) + _SLACK


def _head(tool: ToolSpec) -> str:
    return f'{{"name": {json.dumps(tool.name, ensure_ascii=False)}, "arguments": '


def _schema(tool: ToolSpec) -> dict[str, Any]:
    written = {"item_separator": ", ", "key_separator": ": ", "whitespace_flexible": False}
    escapes = {"json_allow_general_unicode_escapes": True}
    closed = {"type": "object", "additionalProperties": False}
    return closed | tool.parameters | {"x-guidance": {**written, **escapes, "lenient": True}}


def _literal(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)


def _rule(k: int, i: int, wordy: bool) -> str:
    return f"call{k}_{i}_{'word' if wordy else 'other'}"


def _options(schema: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """What a value may be; null is written by leaving out."""
    return [o for o in schema.get("anyOf") or [schema] if o.get("type") != "null"]


def _enumerated(schema: Mapping[str, Any]) -> list[Any]:
    """The values that a schema lists, if it lists all."""
    lists = [[o["const"]] if "const" in o else o.get("enum") or [] for o in _options(schema)]
    return [v for values in lists for v in values if v is not None] if all(lists) else []


def _kinds(schema: Mapping[str, Any]) -> set[str]:
    """The types of a schema; none where it does not tell all."""
    types = [o.get("type") or [] for o in _options(schema)]
    kinds = [[t] if isinstance(t, str) else t for t in types]
    return {k for one in kinds for k in one} - {"null"} if all(kinds) else set()
