"""How a database gets to the shape of `instar._tables`: Alembic versions, run by `instar._database`."""

VERSION = "0001"
"""The version that this code reads and writes."""
