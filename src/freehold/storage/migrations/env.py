"""Runs migrations on the connection that `upgrade` hands in; Alembic loads this file by its path."""

from alembic import context

from freehold.storage.schema import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    transactional_ddl=True,
    render_as_batch=True,
)
context.run_migrations()
