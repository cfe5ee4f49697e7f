"""What every curator gives: rows to train on, and the reason for each trajectory that gave none.

A row is one turn in one of TRL's conversational forms plus where it came from, so that a purge can
find what was trained on. There are two forms, and all rows of a set have the same one:

    prompt, completion, tools          an answer to learn, where it has one with its ``weight``
    prompt, chosen, rejected, tools    two answers to one prompt, the first to be preferred

In memory the arguments of calls are decoded; on disk they and the tool schemas are JSON strings,
because a columnar reader would otherwise fill every dictionary up with the keys of all the others.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, TypeAlias

from pydantic import Field

from instar.contracts import Curator as Contract
from instar.errors import WorkspaceError
from instar.types import Message, Record, content_hash

__all__ = ["ANSWERS", "Contract", "Form", "RowSet", "behind", "content_key", "form"]

Form: TypeAlias = Literal["answers", "pairs"]
"""What the rows of a set hold. A curator may say in ``form`` what it gives and a trainer in ``forms``
what it learns from; then two that do not fit are refused before anything is practised."""
ANSWERS = ("completion", "chosen", "rejected")
"""Fields of a row that hold what a model answered; a row has the first, or the other two."""
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

Content hash `{hash}`. {form}, `tools` and the arguments of calls are JSON strings.
"""
_ANSWER = "One row is one turn of a verified success: `prompt` and `completion` are chat messages"
_PAIR = (
    "One row is two answers to one prompt: `prompt`, `chosen` and `rejected` are chat messages, "
    "the chosen one comes from a verified success"
)


class RowSet(Record):
    """Rows with their lineage; fulfils `instar.contracts.Dataset`.

    Attributes:
        rows: As trained, in one of the two forms, and ``trajectory``, ``step``, ``task``,
            ``group``, ``namespace`` and ``memories`` as lineage; a row with two answers names the
            trajectory of the rejected one as ``against``.
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
        """A set whose hash is that of ``rows``.

        Raises:
            ValueError: The rows are not all of the same form.
        """
        if len({_fields(row) for row in rows}) > 1:
            raise ValueError("rows with one answer and rows with two in one set")
        return cls(
            rows=tuple(rows),
            dropped=dict(dropped),
            counts=dict(counts or {}),
            hash=content_hash(list(rows)),
        )

    @property
    def form(self) -> Form:
        """What the rows hold; an empty set is said to hold answers."""
        return form(self.rows)

    @property
    def summary(self) -> str:
        """One line for people; for an empty set, why it is empty."""
        reasons = Counter(self.dropped.values()).most_common()
        told = "; ".join(f"{n} x {reason}" for reason, n in reasons)
        if not self.rows:
            return f"Nothing to train on: {told or 'no trajectory was given'}."
        counted = ", ".join(f"{n} {name}" for name, n in self.counts.items())
        rest = f"; left out: {told}" if told else ""
        what = "pairs" if self.form == "pairs" else "rows"
        return f"{len(self.rows)} {what} ({counted}){rest}."

    def save(self, folder: Path) -> Path:
        """Write the set as a folder that ``datasets.load_dataset`` reads too; the facts come last."""
        (folder / _ROWS).parent.mkdir(parents=True, exist_ok=True)
        lines = (json.dumps(_encoded(row), ensure_ascii=False) for row in self.rows)
        (folder / _ROWS).write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
        about = _PAIR if self.form == "pairs" else _ANSWER
        card = _CARD.format(summary=self.summary, hash=self.hash, form=about)
        (folder / "README.md").write_text(card, encoding="utf-8")
        facts = self.model_dump(mode="json", exclude={"rows"})
        (folder / _FACTS).write_text(json.dumps(facts, ensure_ascii=False, indent=1), "utf-8")
        return folder

    @classmethod
    def load(cls, folder: Path, edited: bool = False) -> RowSet:
        """Read a saved set.

        Args:
            folder: Where it was saved.
            edited: Whether to take rows that were changed since, to look at them; ``hash`` is then theirs.

        Raises:
            WorkspaceError: The folder is half-written, a row cannot be read, or the rows were changed
                since and ``edited`` is not set.
        """
        try:
            facts = json.loads((folder / _FACTS).read_text(encoding="utf-8"))
            text = (folder / _ROWS).read_text(encoding="utf-8")
            found = cls.of(_rows(folder, text), facts["dropped"], facts["counts"])
        except FileNotFoundError as error:
            raise WorkspaceError(
                f"{folder} holds no training rows, or not all of them: {Path(error.filename).name} is "
                "missing. Name another folder, or curate again."
            ) from error
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise WorkspaceError(_damaged(folder, type(error).__name__)) from error
        if found.hash != facts["hash"] and not edited:
            raise WorkspaceError(_damaged(folder, "its rows do not match its hash"))
        return found

    @staticmethod
    def sealed(folder: Path) -> str:
        """The hash of the rows as they were when the set was saved."""
        return str(json.loads((folder / _FACTS).read_text(encoding="utf-8"))["hash"])


def _rows(folder: Path, text: str) -> list[dict[str, Any]]:
    rows = []
    for number, line in enumerate(text.split("\n"), 1):
        try:
            rows += [_decoded(json.loads(line))] if line.strip() else []
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            why = f"line {number} of {_ROWS} is no row: {type(error).__name__} {error}"
            raise WorkspaceError(_damaged(folder, why)) from error
    return rows


def _damaged(folder: Path, why: str) -> str:
    return (
        f"The training rows in {folder} cannot be used ({why}). Delete the folder and curate again: "
        "by an export (instar data export) or the next turn (instar evolve)."
    )


def content_key(row: Mapping[str, Any]) -> str:
    """Hash of what a trainer would see of a row; equal keys are duplicates."""
    return content_hash([row["prompt"], *(row[name] for name in _fields(row)), row["tools"]])


def behind(rows: Iterable[Mapping[str, Any]]) -> list[str]:
    """Ids of the trajectories that rows were made of, those of rejected answers among them."""
    named = (row.get(key) for row in rows for key in ("trajectory", "against"))
    return sorted({str(id) for id in named if id is not None})


def form(rows: Sequence[Mapping[str, Any]]) -> Form:
    """What rows hold, by the first of them."""
    return "pairs" if rows and "chosen" in rows[0] else "answers"


def _fields(row: Mapping[str, Any]) -> tuple[str, ...]:
    return tuple(name for name in ANSWERS if name in row)


def _encoded(row: Mapping[str, Any]) -> dict[str, Any]:
    return {**row, **_answers(row, json.dumps), "tools": json.dumps(row["tools"])}


def _decoded(row: Mapping[str, Any]) -> dict[str, Any]:
    return {**row, **_answers(row, json.loads), "tools": json.loads(row["tools"])}


def _answers(row: Mapping[str, Any], change: Any) -> dict[str, list[Message]]:
    return {name: [_with_arguments(m, change) for m in row[name]] for name in _fields(row)}


def _with_arguments(message: Message, change: Any) -> Message:
    if "tool_calls" not in message:
        return message
    calls = [
        {**c, "function": {**c["function"], "arguments": change(c["function"]["arguments"])}}
        for c in message["tool_calls"]
    ]
    return {**message, "tool_calls": calls}
