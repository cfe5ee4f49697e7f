"""The policy of `oracle_policy` over the folder of a tiny real model, so that the loop trains it.

The adapter is really trained, gated and served by name; what is answered does not depend on it.
"""

import os
from pathlib import Path

from oracle_policy import Obedient


class Trained(Obedient):
    """Habit and memories; its weights lie in the folder that the environment names."""

    folder = Path(os.environ.get("TINY_MODEL", ""))
    provider = "local"

    def __init__(self, adapter: Path | None = None) -> None:
        self.adapter = adapter
