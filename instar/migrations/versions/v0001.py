"""Version 1: tasks, trajectories, generations, memory with vectors, adapters, stages."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make everything."""
    _episodes()
    _generations()
    _memory()
    _bookkeeping()


def _text(name: str, nullable: bool = False) -> sa.Column[str]:
    return sa.Column(name, sa.Text(), nullable=nullable)


def _row() -> sa.Column[int]:
    return sa.Column("row", sa.Integer(), primary_key=True)


def _episodes() -> None:
    op.create_table(
        "tasks",
        _row(),
        sa.Column("id", sa.Text(), nullable=False, unique=True),
        _text("namespace"),
        _text("split"),
        _text("origin"),
        _text("body"),
    )
    op.create_index("tasks_by_namespace", "tasks", ["namespace", "split"])
    op.create_table(
        "trajectories",
        _row(),
        sa.Column("id", sa.Text(), nullable=False, unique=True),
        sa.Column("task", sa.Text(), sa.ForeignKey("tasks.id"), nullable=False),
        _text("namespace"),
        sa.Column("seed", sa.Integer(), nullable=False),
        _text("generation"),
        _text("purpose"),
        _text("stage"),
        _text("body"),
    )
    op.create_index("trajectories_by_stage", "trajectories", ["stage"])
    op.create_index("trajectories_by_generation", "trajectories", ["generation", "purpose"])


def _generations() -> None:
    op.create_table(
        "generations",
        sa.Column("id", sa.Text(), primary_key=True),
        sa.Column("seq", sa.Integer(), nullable=False),
        sa.Column("parent", sa.Text(), sa.ForeignKey("generations.id")),
        _text("status"),
        _text("body"),
    )
    op.create_index(
        "generations_one_active",
        "generations",
        ["status"],
        unique=True,
        sqlite_where=sa.text("status = 'active'"),
    )
    op.create_table(
        "adapters", _row(), sa.Column("name", sa.Text(), nullable=False, unique=True), _text("body")
    )


def _memory() -> None:
    op.create_table(
        "memory_versions",
        _row(),
        _text("id"),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("generation", sa.Text(), sa.ForeignKey("generations.id"), nullable=False),
        _text("status"),
        _text("body"),
        sa.Column("vector", sa.LargeBinary()),
        sa.UniqueConstraint("id", "version", name="memory_versions_key"),
    )
    op.create_index("memory_versions_by_generation", "memory_versions", ["generation"])
    op.create_table(
        "memory_log",
        _row(),
        sa.Column("at", sa.Float(), nullable=False),
        _text("kind"),
        _text("target", nullable=True),
        _text("item", nullable=True),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("generation", sa.Text(), sa.ForeignKey("generations.id"), nullable=False),
        _text("author"),
        _text("reason"),
    )


def _bookkeeping() -> None:
    op.create_table(
        "stages",
        sa.Column("key", sa.Text(), primary_key=True),
        _text("value"),
        sa.Column("at", sa.Float(), nullable=False),
    )
    op.create_table("settings", sa.Column("name", sa.Text(), primary_key=True), _text("value"))
    op.create_table(
        "counters",
        sa.Column("name", sa.Text(), primary_key=True),
        sa.Column("value", sa.Integer(), nullable=False),
    )
