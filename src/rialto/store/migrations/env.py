"""What Alembic runs: the migrations, in one transaction, on the database that the store names."""

from __future__ import annotations

from alembic import context
from sqlalchemy import create_engine

from rialto.store.schema import metadata

_engine = create_engine(context.config.get_main_option("sqlalchemy.url") or "")
with _engine.connect() as _connection:
    context.configure(connection=_connection, target_metadata=metadata, render_as_batch=True)
    with context.begin_transaction():
        context.run_migrations()
_engine.dispose()
