"""The tables of the store, as the code of today sees them.

Each record is kept whole as JSON in ``body``; beside it stand only the columns that are searched.
`instar.migrations` says how a database gets to this shape; a test holds the two together.
"""

from __future__ import annotations

from sqlalchemy import (
    Column,
    Float,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    Text,
    UniqueConstraint,
)

__all__ = [
    "adapters",
    "counters",
    "generations",
    "memory_log",
    "memory_versions",
    "metadata",
    "settings",
    "stages",
    "store_items",
    "store_vectors",
    "tasks",
    "trajectories",
]

metadata = MetaData()

tasks = Table(
    "tasks",
    metadata,
    Column("row", Integer, primary_key=True),
    Column("id", Text, nullable=False, unique=True),
    Column("namespace", Text, nullable=False),
    Column("split", Text, nullable=False),
    Column("origin", Text, nullable=False),
    Column("body", Text, nullable=False),
    Index("tasks_by_namespace", "namespace", "split"),
)

trajectories = Table(
    "trajectories",
    metadata,
    Column("row", Integer, primary_key=True),
    Column("id", Text, nullable=False, unique=True),
    Column("task", Text, ForeignKey("tasks.id"), nullable=False),
    Column("namespace", Text, nullable=False),
    Column("seed", Integer, nullable=False),
    Column("generation", Text, nullable=False),
    Column("purpose", Text, nullable=False),
    Column("stage", Text, nullable=False),
    Column("body", Text, nullable=False),
    Index("trajectories_by_stage", "stage"),
    Index("trajectories_by_generation", "generation", "purpose"),
)

generations = Table(
    "generations",
    metadata,
    Column("id", Text, primary_key=True),
    Column("seq", Integer, nullable=False),
    Column("parent", Text, ForeignKey("generations.id")),
    Column("status", Text, nullable=False),
    Column("body", Text, nullable=False),
)
Index(
    "generations_one_active",
    generations.c.status,
    unique=True,
    sqlite_where=generations.c.status == "active",
)

memory_versions = Table(
    "memory_versions",
    metadata,
    Column("row", Integer, primary_key=True),
    Column("id", Text, nullable=False),
    Column("version", Integer, nullable=False),
    Column("generation", Text, ForeignKey("generations.id"), nullable=False),
    Column("status", Text, nullable=False),
    Column("body", Text, nullable=False),
    Column("vector", LargeBinary),
    UniqueConstraint("id", "version", name="memory_versions_key"),
    Index("memory_versions_by_generation", "generation"),
)

memory_log = Table(
    "memory_log",
    metadata,
    Column("row", Integer, primary_key=True),
    Column("at", Float, nullable=False),
    Column("kind", Text, nullable=False),
    Column("target", Text),
    Column("item", Text),
    Column("version", Integer, nullable=False),
    Column("generation", Text, ForeignKey("generations.id"), nullable=False),
    Column("author", Text, nullable=False),
    Column("reason", Text, nullable=False),
)

adapters = Table(
    "adapters",
    metadata,
    Column("row", Integer, primary_key=True),
    Column("name", Text, nullable=False, unique=True),
    Column("body", Text, nullable=False),
)

stages = Table(
    "stages",
    metadata,
    Column("key", Text, primary_key=True),
    Column("value", Text, nullable=False),
    Column("at", Float, nullable=False),
)

settings = Table(
    "settings",
    metadata,
    Column("name", Text, primary_key=True),
    Column("value", Text, nullable=False),
)

counters = Table(
    "counters",
    metadata,
    Column("name", Text, primary_key=True),
    Column("value", Integer, nullable=False),
)

store_items = Table(
    "store_items",
    metadata,
    Column("row", Integer, primary_key=True),
    Column("namespace", Text, nullable=False),
    Column("key", Text, nullable=False),
    Column("value", Text, nullable=False),
    Column("paths", Text, nullable=False),
    Column("created", Float, nullable=False),
    Column("updated", Float, nullable=False),
    UniqueConstraint("namespace", "key", name="store_items_key"),
)

store_vectors = Table(
    "store_vectors",
    metadata,
    Column("row", Integer, primary_key=True),
    Column("item", Integer, ForeignKey("store_items.row", ondelete="CASCADE"), nullable=False),
    Column("vector", LargeBinary, nullable=False),
    Index("store_vectors_by_item", "item"),
)
