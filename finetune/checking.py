"""What a trainer would see of a dataset: token lengths, what is cut, what nothing could be learnt of.

Rows are encoded by the function that the trainers use, with the chat template of the base, so what
is counted here is what a training would count. No weights are loaded.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from finetune.curate.base import ANSWERS, Form, content_key, form
from finetune.train._encode import encode, stop_tokens
from finetune.train._model import quiet
from instar.errors import MissingExtra, UserError
from instar.types import Record

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

__all__ = ["Checked", "check"]

_PERCENTILES = {"shortest": 0.0, "median": 0.5, "p90": 0.9, "p99": 0.99, "longest": 1.0}


class Checked(Record):
    """What was found.

    Attributes:
        form: What the rows hold.
        answers: Answers that were encoded, two for each row of pairs.
        tokens: Lengths of prompt and answer together, in tokens: ``shortest``, ``median``, ``p90``,
            ``p99`` and ``longest``.
        learnt: The same of answers alone, as far as they would be in the loss.
        limit: Longest row that the trainer takes, in tokens.
        cut: Numbers of the rows, from 0, that are longer; the trainer leaves them out.
        masked: Numbers of the rows of whose answer nothing could be learnt.
        unended: Answers after which the template writes no stop token; the trainer adds one.
        drifted: Answers before which the prompt is tokenised differently than alone.
        alike: Numbers of the pairs whose two answers are the same tokens.
        repeated: Rows that are there already.
        memories: Rows whose prompt shows memories.
        stops: Tokens that end a turn.
    """

    form: Form
    rows: int
    answers: int
    tokens: dict[str, int]
    learnt: dict[str, int]
    limit: int
    cut: tuple[int, ...]
    masked: tuple[int, ...]
    unended: int
    drifted: int
    alike: tuple[int, ...]
    repeated: int
    memories: int
    stops: tuple[str, ...]

    @property
    def share_cut(self) -> float:
        """Share of rows that are too long."""
        return len(self.cut) / max(1, self.rows)

    @property
    def problems(self) -> list[str]:
        """What would be lost in a training, one line each; empty where nothing would."""
        found = {
            f"{_of(self.cut, self.rows)} longer than {self.limit} tokens": self.cut,
            f"{_of(self.masked, self.rows)} without anything to learn": self.masked,
            f"{_of(self.alike, self.rows)} whose two answers are the same tokens": self.alike,
        }
        told = [f"{what}: {_some(which)}" for what, which in found.items() if which]
        return told if self.rows else ["no rows"]


def _of(which: Sequence[int], rows: int) -> str:
    return f"{len(which)} of {rows} rows ({100 * len(which) / max(1, rows):.0f} %)"


def _some(which: Sequence[int]) -> str:
    more = len(which) - 5
    return "rows " + ", ".join(map(str, which[:5])) + (f" and {more} more" if more > 0 else "")


def check(rows: Sequence[Mapping[str, Any]], base: Path, limit: int) -> Checked:
    """Encode rows as the trainers do and count what becomes of them.

    Args:
        rows: Of a curator, with decoded arguments.
        base: Folder of the model that would be trained.
        limit: Longest row, in tokens.

    Raises:
        UserError: The folder holds no tokenizer with a chat template and a stop token.
    """
    with _quiet():
        tokenizer, generation = _loaded(base)
        stops = stop_tokens(tokenizer, generation)
        found = _Counts()
        for number, row in enumerate(rows):
            found.take(number, row, tokenizer, stops, limit)
    keys = Counter(content_key(row) for row in rows)
    return Checked(
        form=form(rows),
        rows=len(rows),
        answers=len(found.lengths),
        tokens=_percentiles(found.lengths),
        learnt=_percentiles(found.learnt),
        limit=limit,
        cut=tuple(sorted(found.cut)),
        masked=tuple(sorted(found.masked)),
        unended=found.unended,
        drifted=found.drifted,
        alike=tuple(found.alike),
        repeated=len(rows) - len(keys),
        memories=sum(bool(row.get("memories")) for row in rows),
        stops=tuple(map(str, tokenizer.convert_ids_to_tokens(stops))),
    )


class _Counts:
    """Counts over answers."""

    def __init__(self) -> None:
        self.lengths: list[int] = []
        self.learnt: list[int] = []
        self.cut: set[int] = set()
        self.masked: set[int] = set()
        self.alike: list[int] = []
        self.unended = self.drifted = 0

    def take(
        self,
        number: int,
        row: Mapping[str, Any],
        tokenizer: PreTrainedTokenizerBase,
        stops: Sequence[int],
        limit: int,
    ) -> None:
        """Encode every answer of a row."""
        sides = []
        for name in ANSWERS:
            if name in row:
                alone = {"prompt": row["prompt"], "completion": row[name], "tools": row["tools"]}
                # Without a limit first: of what is too long it is also asked what it would teach.
                found = encode([alone], tokenizer, stops, limit=2**31)
                sides += found.ids
                self.lengths.append(found.longest)
                self.learnt += [found.learnt] if found.ids else []
                self.cut |= {number} if found.longest > limit else set()
                self.masked |= {number} if found.masked else set()
                self.unended += found.unended
                self.drifted += found.drifted
        if len(sides) == 2 and sides[0] == sides[1]:
            self.alike.append(number)


def _percentiles(values: Sequence[int]) -> dict[str, int]:
    ordered = sorted(values)
    if not ordered:
        return {}
    last = len(ordered) - 1
    return {name: ordered[math.ceil(share * last)] for name, share in _PERCENTILES.items()}


def _quiet() -> Any:
    try:
        return quiet()
    except ImportError as error:
        raise MissingExtra("transformers", "pip install 'instar[local]'") from error


def _loaded(base: Path) -> tuple[PreTrainedTokenizerBase, Any]:
    """Tokenizer and what says where generation stops, without the weights."""
    from transformers import AutoConfig, AutoTokenizer, GenerationConfig

    try:
        tokenizer = AutoTokenizer.from_pretrained(base, local_files_only=True)
        if (base / "generation_config.json").exists():
            return tokenizer, GenerationConfig.from_pretrained(base, local_files_only=True)
        config = AutoConfig.from_pretrained(base, local_files_only=True)
    except (OSError, ValueError) as error:
        told = str(error).strip().split("\n", 1)[0]
        raise UserError(f"No model that can be trained in {base}: {told}") from error
    return tokenizer, GenerationConfig.from_model_config(config)
