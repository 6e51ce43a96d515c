"""The workers of a chat, and who is in which room in which of them."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "workers",
        sa.Column("id", sa.String(16), nullable=False),
        sa.Column("beat", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_workers"),
    )
    op.create_table(
        "presence",
        sa.Column("room_id", sa.Integer, nullable=False),
        sa.Column("user_id", sa.BigInteger, nullable=False),
        sa.Column("worker_id", sa.String(16), nullable=False),
        sa.PrimaryKeyConstraint("room_id", "user_id", "worker_id", name="pk_presence"),
        sqlite_with_rowid=False,
    )
    op.create_index("ix_presence_user_id", "presence", ["user_id"])
    op.create_index("ix_presence_worker_id", "presence", ["worker_id"])


def downgrade() -> None:
    for table in ("presence", "workers"):
        op.drop_table(table)
