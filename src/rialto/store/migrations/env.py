"""What Alembic runs: the migrations, all of them or none, on the database that the store names."""

from __future__ import annotations

import sqlite3

from alembic import context
from sqlalchemy import Connection, create_engine, event

from rialto.store.schema import metadata

_engine = create_engine(context.config.get_main_option("sqlalchemy.url") or "")


@event.listens_for(_engine, "connect")
def _leave_transactions_to_us(connection: sqlite3.Connection, record: object) -> None:
    connection.isolation_level = None  # else the driver begins none before a CREATE TABLE


@event.listens_for(_engine, "begin")
def _begin(connection: Connection) -> None:
    connection.exec_driver_sql("BEGIN IMMEDIATE")


with _engine.connect() as _connection:
    context.configure(
        connection=_connection, target_metadata=metadata, render_as_batch=True, transactional_ddl=True
    )
    with context.begin_transaction():
        context.run_migrations()
_engine.dispose()
