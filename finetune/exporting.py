"""A dataset for others: the folder that ``datasets.load_dataset`` reads, a card, and hashes.

The card says what a row is, where the rows come from and what was left out and why, so that whoever
gets the folder need not ask; ``sha256sum -c SHA256SUMS`` tells whether it is still what was written.
"""

from __future__ import annotations

import hashlib
import shutil
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

from finetune.curate.base import RowSet
from instar.errors import UserError

__all__ = ["SUMS", "export"]

SUMS = "SHA256SUMS"
_FIELDS = {
    "prompt": "the messages before the answer",
    "completion": "the answer to learn",
    "weight": "how much the row counts, 1 on average",
    "chosen": "the answer to be preferred",
    "rejected": "the answer that it is preferred to",
    "tools": "JSON string: the tools at hand, as OpenAI has them",
    "trajectory": "id of the episode that the answer comes from",
    "against": "id of the episode that the rejected answer comes from",
    "step": "number of the turn in that episode, from 0",
    "task": "id of its task",
    "group": "the family of like tasks that it belongs to",
    "namespace": "the world in which it was done",
    "memories": "whether the prompt shows memories",
}


def export(found: RowSet, out: Path, origin: Mapping[str, Sequence[str]]) -> Path:
    """Write a dataset into a new folder.

    Args:
        found: The rows.
        out: The folder; it is written beside and renamed into place.
        origin: What stands behind the rows, such as models, by its name.

    Raises:
        UserError: There are no rows, the folder is there already, or it cannot be written.
    """
    if not found.rows:
        raise UserError(found.summary)
    if out.exists():
        raise UserError(f"{out} is there already. Remove it, or choose another: --out DIR")
    beside = out.with_name(f".{out.name}.part")
    try:
        shutil.rmtree(beside, ignore_errors=True)
        beside.mkdir(parents=True)
        found.save(beside)
        card = beside / "README.md"
        text = card.read_text(encoding="utf-8") + _sections(found, origin)
        card.write_text(text, encoding="utf-8")
        _write_sums(beside)
        beside.rename(out)
    except OSError as error:
        raise UserError(f"{out} cannot be written: {error.strerror}") from error
    finally:
        shutil.rmtree(beside, ignore_errors=True)
    return out


def _sections(found: RowSet, origin: Mapping[str, Sequence[str]]) -> str:
    known = [name for name in found.rows[0] if name in _FIELDS]
    reasons = Counter(found.dropped.values()).most_common()
    left_out = [[str(n), reason] for reason, n in reasons]
    parts = [
        _table("Fields", ["field", "what it is"], [[f"`{n}`", _FIELDS[n]] for n in known]),
        _table("Numbers", ["what", "how many"], [[n, str(v)] for n, v in found.counts.items()]),
        _table("Origin", ["what", "which"], [[n, ", ".join(v) or "-"] for n, v in origin.items()]),
        _table("Left out", ["episodes", "why"], left_out) if left_out else "",
    ]
    check = f"\nTo see that nothing was changed since: `sha256sum -c {SUMS}`.\n"
    return "".join(parts) + check


def _table(title: str, head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    cells = [head, ["---"] * len(head), *([_cell(c) for c in row] for row in rows)]
    return f"\n## {title}\n\n" + "".join(f"| {' | '.join(row)} |\n" for row in cells)


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


def _write_sums(folder: Path) -> None:
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    lines = [
        f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.relative_to(folder).as_posix()}\n"
        for path in files
    ]
    (folder / SUMS).write_text("".join(lines), encoding="utf-8")
