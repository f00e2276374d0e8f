"""Run by Alembic: the revisions, on the connection and in the transaction it was given."""

from alembic import context

from app.records.store.database import METADATA, REVISION_TABLE

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=METADATA,
    version_table=REVISION_TABLE,
)
with context.begin_transaction():
    context.run_migrations()
