"""How Alembic runs what `app.records.revisions` holds."""
