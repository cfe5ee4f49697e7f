"""Pocket's tokenizer: the same word is the same tokens wherever it stands, and nothing is lost.

A short model copies by looking up what followed the same tokens before; that needs ``Save`` in
``button "Save" e7`` and in ``press Save`` to be the same tokens. So the mark that begins a word is
written whether or not a blank stands before it, blanks beside punctuation belong to the
punctuation, and the blank between two words is implied. What stands between a name and the
reference that follows it is one token, so that the name is the token before: looking that up is
what a short model has to learn first. Digits stand alone. References ``e0`` to ``e99``, slots ``$1``
to ``$9`` and labels ``m1`` to ``m9`` are single tokens. Characters outside
ASCII fall back to bytes. Decoding restores the text, runs of blanks excepted.
"""

# ruff: noqa: SIM905 (lists of words read better as text)

from __future__ import annotations

import functools
import json
import random
from pathlib import Path
from typing import TYPE_CHECKING, Any

from finetune._reading import read_calls
from finetune.pocket.words import COMMON, ROLES, pseudo_word

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

__all__ = ["CALL", "END", "PAD", "SPECIAL", "VOCABULARY", "build_tokenizer", "load_tokenizer"]

PAD, TOOLS, SYSTEM, USER, ASSISTANT, CALL, END = (
    "<|pad|>",
    "<|tools|>",
    "<|system|>",
    "<|user|>",
    "<|assistant|>",
    "<|call|>",
    "<|end|>",
)
SPECIAL = (PAD, TOOLS, SYSTEM, USER, ASSISTANT, CALL, END)
VOCABULARY = 1536
_CORPUS_LINES = 20_000

_WORD = "[A-Za-z0-9]"
_MARK = "▁"
_PIECES = (
    rf"{_MARK}e\d{{1,2}}(?![A-Za-z0-9])"
    rf"|{_MARK}m\d(?![A-Za-z0-9])"
    rf"| ?\$?{_MARK}\d(?=[A-Za-z0-9])"
    rf"| ?\${_MARK}\d"
    r"|\n"
    rf"|{_MARK}?[A-Za-z]+"
    rf"|{_MARK}?\d"
    rf"|[^A-Za-z0-9{_MARK}\n$]+"
    r"|\$"
)
_STRUCTURE = """
act with one call memory task done page alert status text row click fill select check press navigate
back wait read finish element ref option checked key url seconds answer disabled selected options
first instead last left out required needs missing and then to please now for the in into of named
rejected locked refused failed ok field press enter at once you possible if can could job kindly as
by also do is so it its stopped escalated only when ahead wants use end ended yet must be rather
system tools record code write memory title content success failure with what that labelled called
should I says say want has have tap this push pick hit spinbutton from need off me my switch choose
which tool comes here searchbox finished generic argument arguments whose tick where slider ticked
dropdown type Click The What After Please Find Use Start Can Set Put Do Tell Give Enter Open Press
Select Type Choose Write Show Look Go Check Insert
""".split()

_GAPS = (
    *(' "', '" ', '" "', '"', '": "', '": ', '": ', '", "', '", ', '",', '"; ', '" = "', ' = "'),
    *(
        ": ",
        ":",
        "; ",
        ", ",
        ",",
        ". ",
        ".",
        "? ",
        "?",
        "! ",
        "!",
        " -> ",
        '" -> ',
        " | ",
        "-",
        " - ",
    ),
    *(
        '" - "',
        " [",
        "] -> ",
        " (",
        ") ",
        ")",
        '")',
        '" (',
        '("',
        "@",
        "_",
        "/",
        "'",
        "' ",
        " '",
        "'s ",
    ),
    *(
        " &",
        " & ",
        "%",
        "% ",
        " #",
        "#",
        "+",
        " + ",
        " = ",
        "=",
        "...",
        ' "$',
        '" $',
        "<",
        "</",
        ">",
    ),
    *(', "', ': "', '; "', '."', '," ', ' -> "', '. "', '".', '" | ', ' | "'),
)
"""What stands between words: each is one token."""

CHAT_TEMPLATE = """
{%- if tools %}{{ '<|tools|>' }}
{%- for tool in tools %}{% set f = tool.function %}{{ f.name }}
{%- for p in f.parameters.properties %}{{ ' ' + p }}
{%- if p not in (f.parameters.required or []) %}{{ '?' }}{% endif %}{% endfor %}
{%- if not loop.last %}{{ '\\n' }}{% endif %}{% endfor %}{% endif %}
{%- for m in messages %}
{%- if m.role == 'assistant' %}{{ '<|assistant|>' }}{% generation %}{{ m.content or '' }}
{%- for c in m.tool_calls or [] %}{{ '<|call|>' + c.function.name }}
{%- set call = namespace(order=[], left_out='') %}
{%- for t in tools or [] %}{% if t.function.name == c.function.name %}
{%- set call.order = t.function.parameters.properties | list %}{% endif %}{% endfor %}
{%- for p in call.order or c.function.arguments %}
{%- if p not in c.function.arguments %}{% set call.left_out = call.left_out + ' -' %}{% else %}
{%- set v = c.function.arguments[p] %}{% set s = v if v is string else v | tojson %}
{{- call.left_out }}{% set call.left_out = '' %}{%- if not call.order %}{{ ' ' + p }}{% endif %}
{%- if s[:1] == 'e' and s[1:].isdigit() and s | length <= 4 %}{{ ' ' + s }}
{%- else %}{{ ' "' + s | replace('"', '\\\\"') | replace('\\n', ' ') + '"' }}{% endif %}{% endif %}
{%- endfor %}{% endfor %}{{ '<|end|>' }}{% endgeneration %}
{%- elif m.role == 'system' %}{{ '<|system|>' + m.content }}
{%- else %}{{ '<|user|>' + m.content }}{% endif %}
{%- endfor %}
{%- if add_generation_prompt %}{{ '<|assistant|>' }}{% endif %}
""".strip()

RESPONSE_TEMPLATE: dict[str, Any] = {
    "defaults": {"role": "assistant", "content": ""},
    "start_anchor": ASSISTANT,
    "fields": {
        "tool_calls": {
            "open_pattern": r"<\|call\|>(?P<name>[^\s<]+)",
            "close_pattern": r"(?=<\|call\|>)|<\|end\|>",
            "repeats": True,
            "transform": {
                "type": "function",
                "function": {"name": "{name}", "arguments": {"values": "{content}"}},
            },
        },
        "content": {"close": END},
    },
}
"""How transformers reads an answer. Which argument a position is, only the tools tell: see `_read`."""


def _corpus(rng: random.Random) -> list[str]:
    """Lines of pseudo-words alone: every piece that is merged is a piece that training keeps meeting.

    Common words get tokens of their own. Were they in here too, their halves would become pieces
    that nothing but an unknown word ever shows, and what was never met cannot be copied.
    """
    return [
        "\n".join(f'"{pseudo_word(rng, False)}"' for _ in range(8)) for _ in range(_CORPUS_LINES)
    ]


def _untrained() -> Any:
    from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers

    tokenizer = Tokenizer(models.BPE(byte_fallback=True, ignore_merges=True))
    tokenizer.normalizer = normalizers.Sequence(
        [
            normalizers.Replace(_MARK, "_"),
            normalizers.Replace(Regex(r"[ \t\r]+"), " "),
            normalizers.Replace(Regex(rf"(?<={_WORD}) (?={_WORD})"), _MARK),
            normalizers.Replace(Regex(rf"(?<![A-Za-z0-9{_MARK}])(?={_WORD})"), _MARK),
        ]
    )
    tokenizer.pre_tokenizer = pre_tokenizers.Split(Regex(_PIECES), "isolated")
    tokenizer.decoder = decoders.Sequence(
        [
            decoders.ByteFallback(),
            decoders.Fuse(),
            decoders.Replace(Regex(rf"(?<={_WORD}){_MARK}(?={_WORD})"), " "),
            decoders.Replace(_MARK, ""),
        ]
    )
    return tokenizer


def _with_whole_words(state: dict[str, Any]) -> dict[str, Any]:
    """Add single tokens for references, slots, labels and frequent words (looked up before merges)."""
    vocabulary: dict[str, int] = state["model"]["vocab"]
    whole = [f"{_MARK}e{i}" for i in range(100)] + [f"{_MARK}m{i}" for i in range(1, 10)]
    whole += [f"{blank}${_MARK}{i}" for i in range(1, 10) for blank in (" ", "")]
    whole += [f"{_MARK}{i}" for i in range(10)]
    whole += [_MARK + w for w in dict.fromkeys([*_STRUCTURE, *ROLES, *COMMON])]
    whole += _GAPS
    whole += [f"<0x{i:02X}>" for i in range(256)]
    for token in whole:
        vocabulary.setdefault(token, len(vocabulary))
    return state


def build_tokenizer(seed: int = 1) -> PreTrainedTokenizerFast:
    """Train pocket's tokenizer on generated text; the same seed gives the same tokens."""
    from tokenizers import Tokenizer
    from transformers import PreTrainedTokenizerFast

    return _reading(
        PreTrainedTokenizerFast(
            tokenizer_object=Tokenizer.from_str(_trained(seed)),
            pad_token=PAD,
            eos_token=END,
            additional_special_tokens=[t for t in SPECIAL if t not in (PAD, END)],
            chat_template=CHAT_TEMPLATE,
            model_max_length=2048,
            padding_side="left",
            clean_up_tokenization_spaces=False,
        )
    )


@functools.cache
def _trained(seed: int) -> str:
    """The tokenizer as JSON; variants of pocket that one process compares share it."""
    from tokenizers import trainers

    raw = _untrained()
    alphabet = [_MARK, "\n", *(chr(i) for i in range(32, 127))]
    trainer = trainers.BpeTrainer(
        vocab_size=620,
        special_tokens=list(SPECIAL),
        initial_alphabet=alphabet,
        show_progress=False,
    )
    raw.train_from_iterator(_corpus(random.Random(seed)), trainer)
    state = _with_whole_words(json.loads(raw.to_str()))
    if len(state["model"]["vocab"]) > VOCABULARY:
        raise ValueError(f"{len(state['model']['vocab'])} tokens do not fit into {VOCABULARY}")
    return json.dumps(state)


def load_tokenizer(folder: Path) -> PreTrainedTokenizerFast:
    """Load a saved tokenizer."""
    from transformers import PreTrainedTokenizerFast

    return _reading(PreTrainedTokenizerFast.from_pretrained(folder))


def _reading(tokenizer: PreTrainedTokenizerFast) -> PreTrainedTokenizerFast:
    """The tokenizer with what TRL asks for to read its calls with the tools at hand."""
    read_calls(tokenizer, RESPONSE_TEMPLATE)
    return tokenizer
