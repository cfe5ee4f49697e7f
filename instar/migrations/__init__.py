"""How a database gets to the shape of `instar._tables`: Alembic versions, run by `instar._database`."""

VERSION = "0002"
"""The version that this code reads and writes."""

EARLIER = ("0001",)
"""Versions that are brought to this one where they are opened."""
