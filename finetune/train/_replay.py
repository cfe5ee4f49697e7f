"""Rows that a base model brings along in ``replay.jsonl``, so that no training unlearns them.

One JSON object a line, ``prompt`` and ``completion``, both as the chat template would have written
them. It is TRL's prompt-completion form; a model without the file is trained without replay.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from finetune.train._encode import Encoded
from instar.errors import UserError

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

__all__ = ["REPLAY", "encode_texts", "replay_texts", "replayed", "write_replay"]

REPLAY = "replay.jsonl"


def replayed(base: Path, tokenizer: PreTrainedTokenizerBase, limit: int) -> Encoded:
    """The rows beside the weights, encoded; none where there is no such file.

    Raises:
        UserError: A line is not such a row.
    """
    return encode_texts(replay_texts(base), tokenizer, limit)


def encode_texts(
    rows: Iterable[tuple[str, str]], tokenizer: PreTrainedTokenizerBase, limit: int
) -> Encoded:
    """Encode prompts with their completions, both as the chat template has written them."""
    encoded = Encoded()
    for prompt, completion in rows:
        asked, answer = (
            list(tokenizer(text, add_special_tokens=False)["input_ids"])
            for text in (prompt, completion)
        )
        encoded.add(asked + answer, len(asked), limit)
    return encoded


def replay_texts(base: Path) -> Iterator[tuple[str, str]]:
    """Prompts and completions beside the weights, as they stand there.

    Raises:
        UserError: A line is not such a row.
    """
    path = base / REPLAY
    if not path.exists():
        return
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        try:
            row = json.loads(line)
            yield str(row["prompt"]), str(row["completion"])
        except (ValueError, KeyError, TypeError) as error:
            raise UserError(
                f"{path}, line {number}: not a row with prompt and completion. "
                "Mend the file, remove it, or train without it: -o methods.sft.replay=false"
            ) from error


def write_replay(base: Path, rows: Sequence[dict[str, str]]) -> None:
    """Put rows beside the weights of a model."""
    lines = [json.dumps(row, ensure_ascii=False) for row in rows]
    (base / REPLAY).write_text("\n".join(lines) + "\n", encoding="utf-8")
