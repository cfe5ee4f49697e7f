"""Library Desk: House Rules' engine in a library, with other words and other mechanics.

It proves that nothing which learns is keyed to the back office. Settings and variants are those of
House Rules; see `benchmarks/houses/README.md`.
"""

from __future__ import annotations

from benchmarks.houses.offices.library import LIBRARY
from benchmarks.houses.world import HouseWorld

__all__ = ["LibraryDesk"]


class LibraryDesk(HouseWorld):
    """Library desk with unwritten rules of its own, by tools and by web pages."""

    id = "library_desk"
    office = LIBRARY
