"""Pocket: a language model of a few million parameters, made from nothing on generated data.

It is the fixture on which the whole loop runs without a key, a GPU or a network. That it learns
shows that the code works; it is no evidence about large models.
"""

from __future__ import annotations

from pathlib import Path

__all__ = ["INGREDIENTS", "MODEL_DIR"]

INGREDIENTS = ("start", "muon", "recital", "masking", "memory", "simple")
"""What a recipe can be made without, to see what it is worth."""

MODEL_DIR = Path(__file__).parent / "model"
"""Where the shipped model lies."""
