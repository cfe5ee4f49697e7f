"""From rows to token ids and labels, once, with the chat template that serves the model.

The trainer is handed ids and not messages: a columnar dataset fills the arguments of calls up with
nulls that a template would print, and only here can it be made sure that the token that ends a
turn is learnt. A row that does not fit is left out and counted, never cut: half a prompt was
served to nobody.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from finetune.train._loss import IGNORED
from instar.errors import UserError

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

__all__ = ["Encoded", "encode", "require_form", "require_rows", "stop_tokens"]


@dataclass
class Encoded:
    """Token ids and labels, and what became of the rows.

    Attributes:
        cut: Rows left out because they are longer than the limit.
        masked: Rows left out because nothing in them could be learnt.
        drifted: Rows whose prompt is tokenised a little differently before an answer than alone.
        unended: Rows after whose answer the template writes no stop token, so that one is added.
        learnt: Tokens in the loss.
        weights: How much each row counts in the loss.
    """

    ids: list[list[int]] = field(default_factory=list)
    labels: list[list[int]] = field(default_factory=list)
    weights: list[float] = field(default_factory=list)
    cut: int = 0
    masked: int = 0
    drifted: int = 0
    unended: int = 0
    learnt: int = 0
    longest: int = 0

    @property
    def tokens(self) -> int:
        """Tokens of all rows used, prompts included."""
        return sum(map(len, self.ids))

    def metrics(self) -> dict[str, Any]:
        """What became of the rows, for the report."""
        return {
            "rows_used": len(self.ids),
            "rows_cut": self.cut,
            "rows_masked": self.masked,
            "rows_drifted": self.drifted,
            "row_tokens": self.tokens,
            "row_tokens_learnt": self.learnt,
            "longest_row": self.longest,
        }

    def joined(self, other: Encoded) -> Encoded:
        """These rows and then those of another."""
        weights = self.weights + other.weights
        labels = self.labels + other.labels
        return replace(self, ids=self.ids + other.ids, labels=labels, weights=weights)

    def take(self, other: Encoded) -> None:
        """Add the rows of another, and what became of those that it left out."""
        self.ids += other.ids
        self.labels += other.labels
        self.cut += other.cut
        self.masked += other.masked
        self.drifted += other.drifted
        self.learnt += other.learnt
        self.longest = max(self.longest, other.longest)

    def chosen(self, order: Sequence[int]) -> Encoded:
        """The same with its rows in another order, or repeated."""
        ids, labels = ([own[i] for i in order] for own in (self.ids, self.labels))
        return replace(self, ids=ids, labels=labels, weights=[self.weights[i] for i in order])

    def add(self, ids: list[int], prompt: int, limit: int, weight: float = 1.0) -> None:
        """Take a row whose first ``prompt`` tokens are not learnt, or count why not."""
        self.longest = max(self.longest, len(ids))
        if len(ids) > limit:
            self.cut += 1
        elif prompt >= len(ids):
            self.masked += 1
        else:
            self.ids.append(ids)
            self.labels.append([IGNORED] * prompt + ids[prompt:])
            self.weights.append(weight)
            self.learnt += len(ids) - prompt


def stop_tokens(tokenizer: PreTrainedTokenizerBase, generation_config: Any) -> list[int]:
    """Ids at which serving stops, the tokenizer's own first.

    Raises:
        UserError: There is none, so the model could never end a turn.
    """
    configured = getattr(generation_config, "eos_token_id", None)
    listed = configured if isinstance(configured, list) else [configured]
    stops = [s for s in dict.fromkeys([tokenizer.eos_token_id, *listed]) if isinstance(s, int)]
    if not stops:
        raise UserError("The base model names no token that ends a turn: set its eos_token.")
    return stops


def encode(
    rows: Sequence[Mapping[str, Any]],
    tokenizer: PreTrainedTokenizerBase,
    stops: Sequence[int],
    limit: int,
) -> Encoded:
    """Encode all rows.

    Args:
        rows: Prompt, completion and tools, and a weight where it is not 1.
        tokenizer: Of the base model, with its chat template.
        stops: Tokens that end a turn; the first one is added where a template adds none.
        limit: Longest row in tokens.
    """
    if not tokenizer.chat_template:
        raise UserError("The base model has no chat template: use an instruct model.")
    encoded = Encoded()
    for row in rows:
        alone, whole = _texts(row, tokenizer)
        prompt, ids = _ids(alone, tokenizer), _ids(whole, tokenizer)
        shared = _common(prompt, ids)
        encoded.drifted += shared < len(prompt)
        encoded.unended += not set(stops).intersection(ids[shared:])
        encoded.add(_ended(ids, shared, stops), shared, limit, float(row.get("weight", 1.0)))
    return encoded


def require_form(rows: Sequence[Mapping[str, Any]], fields: Sequence[str], trainer: str) -> None:
    """See that every row has what a trainer reads.

    Raises:
        UserError: One lacks a field.
    """
    for number, row in enumerate(rows, 1):
        missing = [name for name in fields if name not in row]
        if missing:
            wanted, found = ", ".join(fields), ", ".join(row) or "nothing"
            raise UserError(
                f"Row {number} has no {missing[0]}: the trainer {trainer} wants {wanted}, and the "
                f"row has {found}. Choose a curator that gives them: -o train.curator=..."
            )


def require_rows(encoded: Encoded, limit: int, trainer: str) -> None:
    """See that something is left to train on.

    Raises:
        UserError: Every row was left out.
    """
    if not encoded.ids:
        raise UserError(
            f"Nothing to train on: {encoded.cut} rows are longer than {limit} tokens (the longest "
            f"has {encoded.longest}), {encoded.masked} have nothing to learn. "
            f"Raise methods.{trainer}.max_length."
        )


def _texts(row: Mapping[str, Any], tokenizer: PreTrainedTokenizerBase) -> tuple[str, str]:
    prompt, completion, tools = list(row["prompt"]), list(row["completion"]), row["tools"] or None
    alone = tokenizer.apply_chat_template(
        prompt, tools=tools, tokenize=False, add_generation_prompt=True
    )
    whole = tokenizer.apply_chat_template(prompt + completion, tools=tools, tokenize=False)
    return str(alone), str(whole)


def _ids(text: str, tokenizer: PreTrainedTokenizerBase) -> list[int]:
    # The template writes all special tokens itself.
    return list(tokenizer(text, add_special_tokens=False)["input_ids"])


def _common(a: Sequence[int], b: Sequence[int]) -> int:
    same = 0
    for x, y in zip(a, b, strict=False):
        if x != y:
            break
        same += 1
    return same


def _ended(ids: list[int], start: int, stops: Sequence[int]) -> list[int]:
    """The row up to its last stop token; what a template writes after it is never generated."""
    for end in range(len(ids) - 1, start - 1, -1):
        if ids[end] in stops:
            return ids[: end + 1]
    return [*ids, stops[0]] if len(ids) > start else ids
