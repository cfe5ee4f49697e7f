"""The folder of a study that is gone on with."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from benchmarks.runner import write_json
from instar.errors import UserError

__all__ = ["claim"]


def claim(out: Path, ours: Mapping[str, object]) -> None:
    """See that a folder belongs to one study, and say so in it.

    Args:
        out: The folder.
        ours: The settings that make a study another one.

    Raises:
        UserError: It holds another study, or cannot be written.
    """
    path = out / "study.json"
    if path.exists() and json.loads(path.read_text(encoding="utf-8")) != ours:
        raise UserError(f"{out} holds a study with other settings. Choose another: --out DIR")
    try:
        out.mkdir(parents=True, exist_ok=True)
        write_json(path, dict(ours))
    except OSError as error:
        raise UserError(f"{out} cannot be written. Choose another folder: --out DIR") from error
