"""The tables. Migrations in `migrations/versions` bring a database here; a test compares the two."""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Column,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    text,
)

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s_%(referred_table_name)s",
        "pk": "pk_%(table_name)s",
    }
)

#: `subject` is the site's own id of the user, with a prefix that says whose: ``site:17``, ``host:Shop``;
#: NULL for guests. `name_key` and `skeleton` are NULL once the name was let go. Times are Unix milliseconds.
users = Table(
    "users",
    metadata,
    Column("id", BigInteger, primary_key=True, autoincrement=False),
    Column("subject", String(255), unique=True),
    Column("name", String(255), nullable=False),
    Column("name_key", String(255), unique=True),
    Column("skeleton", String(255), unique=True),
    Column("seen_at", BigInteger, nullable=False),
)

#: `key` is what tells rooms apart (names compare without case); a conversation's is ``@3:17``, from the
#: ids of its two users.
rooms = Table(
    "rooms",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("key", String(255), nullable=False, unique=True),
    Column("name", String(255), nullable=False),
    Column("epoch", String(32), nullable=False),
    Column("last_seq", BigInteger, nullable=False),
    Column("first_user_id", ForeignKey("users.id")),
    Column("second_user_id", ForeignKey("users.id")),
)

#: The log itself. `text` is the emoji of a reaction; a deletion empties the texts of what it deletes.
entries = Table(
    "entries",
    metadata,
    Column("room_id", ForeignKey("rooms.id"), primary_key=True),
    Column("seq", BigInteger, primary_key=True, autoincrement=False),
    Column("type", String(16), nullable=False),
    Column("user_id", ForeignKey("users.id"), nullable=False),
    Column("text", Text, nullable=False),
    Column("target_seq", BigInteger),
    Column("client_id", String(64)),
    Column("sent_at", BigInteger, nullable=False),
    sqlite_with_rowid=False,
)
# Both are of a part of the table, for most entries have neither, and a row of an index costs as much as one
# of the table.
Index(
    "uq_entries_user_id_client_id",
    entries.c.user_id,
    entries.c.client_id,
    unique=True,
    sqlite_where=text("client_id IS NOT NULL"),
    postgresql_where=text("client_id IS NOT NULL"),
)
Index(
    "ix_entries_room_id_target_seq",
    entries.c.room_id,
    entries.c.target_seq,
    sqlite_where=text("target_seq IS NOT NULL"),
    postgresql_where=text("target_seq IS NOT NULL"),
)

#: Who belongs to which room, whether connected or not, and how far they have read.
members = Table(
    "members",
    metadata,
    Column("room_id", ForeignKey("rooms.id"), primary_key=True),
    Column("user_id", ForeignKey("users.id"), primary_key=True, index=True),
    Column("role", String(16), nullable=False),
    Column("read_seq", BigInteger, nullable=False),
)

#: The processes that serve this chat. `beat` counts up as long as its worker is alive.
workers = Table(
    "workers",
    metadata,
    Column("id", String(16), primary_key=True),
    Column("beat", BigInteger, nullable=False),
)

#: Who is in which room, by a connection to which worker. Rows of a worker that is gone are deleted by
#: whoever notices; without foreign keys, for they are written with each join.
presence = Table(
    "presence",
    metadata,
    Column("room_id", Integer, primary_key=True, autoincrement=False),
    Column("user_id", BigInteger, primary_key=True, autoincrement=False, index=True),
    Column("worker_id", String(16), primary_key=True, index=True),
    sqlite_with_rowid=False,
)
