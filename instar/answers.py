"""What became of the answers of models that distillers asked, as sentences."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

__all__ = ["answer_lines", "last_answers"]

_STAGE = "/reflect_"


def answer_lines(answers: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """One sentence a distiller that asked: how many answers were kept, and why others were not.

    Args:
        answers: By distiller: ``asked``, and ``refused`` by reason.
    """
    return [_line(name, counts) for name, counts in answers.items() if counts.get("asked")]


def _line(name: str, counts: Mapping[str, Any]) -> str:
    refused = counts.get("refused") or {}
    asked, lost = counts["asked"], sum(refused.values())
    text = f"{name} kept {asked - lost} of {asked} answers of the model"
    why = ", ".join(f"{n} {reason}" for reason, n in sorted(refused.items()))
    return f"{text}; dropped: {why}." if why else f"{text}."


def last_answers(stages: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """Counts as they stood after the last reflection of an evolution, by distiller.

    Args:
        stages: Finished stages by key, first finished first; see `Store.stages`.
    """
    found: dict[str, Any] = {}
    for key, facts in stages.items():
        if _STAGE in key:
            found |= facts.get("answers") or {}
    return found
