"""What a world must do: give tasks, and open episodes that judge themselves."""

from instar.contracts import Episode
from instar.contracts import World as Contract

__all__ = ["Contract", "Episode"]
