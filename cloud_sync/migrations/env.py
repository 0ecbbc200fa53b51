"""Alembic's entry: runs the migrations on the connection that `cloud_sync.db` hands over."""

from alembic import context

from cloud_sync.tables import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    render_as_batch=True,
    transactional_ddl=True,
)
with context.begin_transaction():
    context.run_migrations()
