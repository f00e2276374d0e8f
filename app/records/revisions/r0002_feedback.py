"""Feedback: the diagnosis that was confirmed, and how surely; the few rows of it are found fast."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Add the columns, and an index over feedback alone."""
    op.add_column("audit_row", sa.Column("truth", sa.Text))
    op.add_column("audit_row", sa.Column("certainty", sa.Text))
    only = sa.text("kind = 'feedback'")
    op.create_index(
        "ix_audit_row_feedback",
        "audit_row",
        ["time"],
        sqlite_where=only,
        postgresql_where=only,
    )
