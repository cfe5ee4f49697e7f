"""What every curator gives: rows to train on, and the reason for each trajectory that gave none.

A row is one turn in TRL's conversational prompt-completion form plus where it came from, so that a
purge can find what was trained on. In memory the arguments of calls are decoded; on disk they and
the tool schemas are JSON strings, because a columnar reader would otherwise fill every dictionary
up with the keys of all the others.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import Field

from instar.contracts import Curator as Contract
from instar.errors import WorkspaceError
from instar.types import Message, Record, content_hash

__all__ = ["Contract", "RowSet", "content_key"]

_ROWS = Path("data") / "train-00000-of-00001.jsonl"
_FACTS = "rows.json"
_CARD = """---
configs:
- config_name: default
  data_files:
  - split: train
    path: data/train-*.jsonl
---
# Training rows

{summary}

Content hash `{hash}`. One row is one turn of a verified success: `prompt` and `completion` are chat
messages, `tools` and the arguments of calls are JSON strings.
"""


class RowSet(Record):
    """Rows with their lineage; fulfils `instar.contracts.Dataset`.

    Attributes:
        rows: ``prompt``, ``completion`` and ``tools`` as trained, and ``trajectory``, ``step``,
            ``task``, ``group``, ``namespace`` and ``memories`` as lineage.
        dropped: Reason for each trajectory, by id, that gave no row.
        counts: What was counted while choosing.
        hash: Content hash of the rows.
    """

    rows: tuple[dict[str, Any], ...] = ()
    dropped: dict[str, str] = Field(default_factory=dict)
    counts: dict[str, int] = Field(default_factory=dict)
    hash: str

    @classmethod
    def of(
        cls,
        rows: Sequence[dict[str, Any]],
        dropped: Mapping[str, str],
        counts: Mapping[str, int] | None = None,
    ) -> RowSet:
        """A set whose hash is that of ``rows``."""
        return cls(
            rows=tuple(rows),
            dropped=dict(dropped),
            counts=dict(counts or {}),
            hash=content_hash(list(rows)),
        )

    @property
    def summary(self) -> str:
        """One line for people; for an empty set, why it is empty."""
        reasons = Counter(self.dropped.values()).most_common()
        told = "; ".join(f"{n} x {reason}" for reason, n in reasons)
        if not self.rows:
            return f"Nothing to train on: {told or 'no trajectory was given'}."
        counted = ", ".join(f"{n} {name}" for name, n in self.counts.items())
        rest = f"; left out: {told}" if told else ""
        return f"{len(self.rows)} rows ({counted}){rest}."

    def save(self, folder: Path) -> Path:
        """Write the set as a folder that ``datasets.load_dataset`` reads too; the facts come last."""
        (folder / _ROWS).parent.mkdir(parents=True, exist_ok=True)
        lines = (json.dumps(_encoded(row), ensure_ascii=False) for row in self.rows)
        (folder / _ROWS).write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
        card = _CARD.format(summary=self.summary, hash=self.hash)
        (folder / "README.md").write_text(card, encoding="utf-8")
        facts = self.model_dump(mode="json", exclude={"rows"})
        (folder / _FACTS).write_text(json.dumps(facts, ensure_ascii=False, indent=1), "utf-8")
        return folder

    @classmethod
    def load(cls, folder: Path) -> RowSet:
        """Read a saved set.

        Raises:
            WorkspaceError: The folder is half-written or was changed since.
        """
        try:
            facts = json.loads((folder / _FACTS).read_text(encoding="utf-8"))
            text = (folder / _ROWS).read_text(encoding="utf-8")
            rows = [_decoded(json.loads(line)) for line in text.split("\n") if line]
        except (OSError, ValueError) as error:
            raise WorkspaceError(_damaged(folder, type(error).__name__)) from error
        found = cls.of(rows, facts["dropped"], facts["counts"])
        if found.hash != facts["hash"]:
            raise WorkspaceError(_damaged(folder, "its rows do not match its hash"))
        return found


def _damaged(folder: Path, why: str) -> str:
    return (
        f"The training rows in {folder} cannot be used ({why}). Delete the folder and curate again."
    )


def content_key(row: Mapping[str, Any]) -> str:
    """Hash of what a trainer would see of a row; equal keys are duplicates."""
    return content_hash([row["prompt"], row["completion"], row["tools"]])


def _encoded(row: Mapping[str, Any]) -> dict[str, Any]:
    completion = [_with_arguments(m, json.dumps) for m in row["completion"]]
    return {**row, "completion": completion, "tools": json.dumps(row["tools"])}


def _decoded(row: Mapping[str, Any]) -> dict[str, Any]:
    completion = [_with_arguments(m, json.loads) for m in row["completion"]]
    return {**row, "completion": completion, "tools": json.loads(row["tools"])}


def _with_arguments(message: Message, change: Any) -> Message:
    if "tool_calls" not in message:
        return message
    calls = [
        {**c, "function": {**c["function"], "arguments": change(c["function"]["arguments"])}}
        for c in message["tool_calls"]
    ]
    return {**message, "tool_calls": calls}
