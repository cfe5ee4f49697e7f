"""The base of all records, and the hash that names them."""

from __future__ import annotations

import hashlib
import json

from pydantic import BaseModel, ConfigDict

__all__ = ["Record", "content_hash"]


def content_hash(value: object, length: int = 12) -> str:
    """Hexadecimal SHA-256 of a JSON-able value in canonical form, cut to ``length`` characters."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:length]


class Record(BaseModel):
    """Base of all records: frozen, unknown fields refused."""

    model_config = ConfigDict(frozen=True, extra="forbid")
