"""What alembic runs: the migrations on the connection that it was handed, in the transaction that is open there."""

from alembic import context

from photosynth.storage.tables import METADATA

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=METADATA,
    transactional_ddl=True,
    render_as_batch=True,
)
with context.begin_transaction():
    context.run_migrations()
