"""Scripted solvers of all MiniWoB++ pages that have one; importing this registers them."""

import miniwob_apps
import miniwob_clicks
import miniwob_fields
from miniwob_hands import SOLVERS, Hands, quoted, solve

__all__ = [
    "SOLVERS",
    "Hands",
    "miniwob_apps",
    "miniwob_clicks",
    "miniwob_fields",
    "quoted",
    "solve",
]
