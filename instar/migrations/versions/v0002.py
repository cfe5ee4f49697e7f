"""Version 2: items of a store that an agent keeps beside its memories, with their vectors."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add both tables; nothing that is there changes."""
    op.create_table(
        "store_items",
        sa.Column("row", sa.Integer(), primary_key=True),
        sa.Column("namespace", sa.Text(), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("value", sa.Text(), nullable=False),
        sa.Column("paths", sa.Text(), nullable=False),
        sa.Column("created", sa.Float(), nullable=False),
        sa.Column("updated", sa.Float(), nullable=False),
        sa.UniqueConstraint("namespace", "key", name="store_items_key"),
    )
    op.create_table(
        "store_vectors",
        sa.Column("row", sa.Integer(), primary_key=True),
        sa.Column(
            "item",
            sa.Integer(),
            sa.ForeignKey("store_items.row", ondelete="CASCADE"),
            nullable=False,
        ),
        sa.Column("vector", sa.LargeBinary(), nullable=False),
    )
    op.create_index("store_vectors_by_item", "store_vectors", ["item"])
