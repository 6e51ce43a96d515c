"""Users, rooms, their logs and their members."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.mysql import MEDIUMTEXT

from chatapp.log.schema import mysql_options

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    mysql = mysql_options(op.get_bind().dialect)
    op.create_table(
        "users",
        sa.Column("id", sa.BigInteger, nullable=False, autoincrement=False),
        sa.Column("subject", sa.String(255)),
        sa.Column("name", sa.String(255), nullable=False),
        sa.Column("name_key", sa.String(255)),
        sa.Column("skeleton", sa.String(255)),
        sa.Column("seen_at", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_users"),
        sa.UniqueConstraint("subject", name="uq_users_subject"),
        sa.UniqueConstraint("name_key", name="uq_users_name_key"),
        sa.UniqueConstraint("skeleton", name="uq_users_skeleton"),
        **mysql,
    )
    op.create_table(
        "rooms",
        sa.Column("id", sa.Integer, nullable=False),
        sa.Column("key", sa.String(255), nullable=False),
        sa.Column("name", sa.String(255), nullable=False),
        sa.Column("epoch", sa.String(32), nullable=False),
        sa.Column("last_seq", sa.BigInteger, nullable=False),
        sa.Column("first_user_id", sa.BigInteger),
        sa.Column("second_user_id", sa.BigInteger),
        sa.PrimaryKeyConstraint("id", name="pk_rooms"),
        sa.UniqueConstraint("key", name="uq_rooms_key"),
        sa.ForeignKeyConstraint(["first_user_id"], ["users.id"], name="fk_rooms_first_user_id_users"),
        sa.ForeignKeyConstraint(["second_user_id"], ["users.id"], name="fk_rooms_second_user_id_users"),
        **mysql,
    )
    op.create_index("ix_rooms_first_user_id", "rooms", ["first_user_id"])
    op.create_index("ix_rooms_second_user_id", "rooms", ["second_user_id"])
    op.create_table(
        "entries",
        sa.Column("room_id", sa.Integer, nullable=False),
        sa.Column("seq", sa.BigInteger, nullable=False),
        sa.Column("type", sa.String(16), nullable=False),
        sa.Column("user_id", sa.BigInteger, nullable=False),
        sa.Column("text", sa.Text().with_variant(MEDIUMTEXT(), "mysql", "mariadb"), nullable=False),
        sa.Column("target_seq", sa.BigInteger),
        sa.Column("client_id", sa.String(64)),
        sa.Column("sent_at", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("room_id", "seq", name="pk_entries"),
        sa.ForeignKeyConstraint(["room_id"], ["rooms.id"], name="fk_entries_room_id_rooms"),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name="fk_entries_user_id_users"),
        sqlite_with_rowid=False,
        **mysql,
    )
    op.create_index(
        "uq_entries_user_id_client_id",
        "entries",
        ["user_id", "client_id"],
        unique=True,
        sqlite_where=sa.text("client_id IS NOT NULL"),
        postgresql_where=sa.text("client_id IS NOT NULL"),
    )
    op.create_index(
        "ix_entries_room_id_target_seq",
        "entries",
        ["room_id", "target_seq"],
        sqlite_where=sa.text("target_seq IS NOT NULL"),
        postgresql_where=sa.text("target_seq IS NOT NULL"),
    )
    op.create_table(
        "members",
        sa.Column("room_id", sa.Integer, nullable=False),
        sa.Column("user_id", sa.BigInteger, nullable=False),
        sa.Column("role", sa.String(16), nullable=False),
        sa.Column("read_seq", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("room_id", "user_id", name="pk_members"),
        sa.ForeignKeyConstraint(["room_id"], ["rooms.id"], name="fk_members_room_id_rooms"),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name="fk_members_user_id_users"),
        **mysql,
    )
    op.create_index("ix_members_user_id", "members", ["user_id"])


def downgrade() -> None:
    for table in ("members", "entries", "rooms", "users"):
        op.drop_table(table)
