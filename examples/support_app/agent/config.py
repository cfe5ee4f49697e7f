"""Settings, from the environment."""

from __future__ import annotations

import os
from dataclasses import dataclass

__all__ = ["Settings"]


@dataclass(frozen=True)
class Settings:
    """How the desk is set up.

    Where the model is and its key are ``OPENAI_BASE_URL`` and ``OPENAI_API_KEY``, as everywhere.

    Attributes:
        office: Address of the back office.
        model: Name of the model.
        most_turns: After so many turns of the model a request goes to a person.
    """

    office: str = "http://127.0.0.1:9000"
    model: str = "gpt-5-mini"
    most_turns: int = 40

    @classmethod
    def read(cls) -> Settings:
        """``OFFICE_URL``, ``SUPPORT_MODEL`` and ``SUPPORT_MOST_TURNS``, where they are set."""
        return cls(
            office=os.environ.get("OFFICE_URL", cls.office),
            model=os.environ.get("SUPPORT_MODEL", cls.model),
            most_turns=int(os.environ.get("SUPPORT_MOST_TURNS", cls.most_turns)),
        )
