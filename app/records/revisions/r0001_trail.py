"""The trail: rows, the heads of chains, the ledger of seals. Rows can't be updated."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None

_REFUSE_SQLITE = """
CREATE TRIGGER audit_row_is_append_only BEFORE UPDATE ON audit_row
BEGIN SELECT RAISE(ABORT, 'audit_row is append-only'); END
"""
_REFUSE_POSTGRESQL = """
CREATE FUNCTION audit_row_refuse() RETURNS trigger LANGUAGE plpgsql AS
$$ BEGIN RAISE EXCEPTION 'audit_row is append-only'; END $$;
CREATE TRIGGER audit_row_is_append_only BEFORE UPDATE ON audit_row
FOR EACH ROW EXECUTE FUNCTION audit_row_refuse()
"""


def upgrade() -> None:
    """Make the tables."""
    op.create_table(
        "audit_row",
        sa.Column("chain", sa.String(26), primary_key=True),
        sa.Column("seq", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("segment", sa.String(10), nullable=False),
        sa.Column("time", sa.String(27), nullable=False),
        sa.Column("kind", sa.String(16), nullable=False),
        sa.Column("neumo", sa.Text),
        sa.Column("request_id", sa.String(36)),
        sa.Column("file_index", sa.Integer),
        sa.Column("call", sa.Text),
        sa.Column("key_name", sa.Text),
        sa.Column("image_sha256", sa.String(64)),
        sa.Column("model", sa.Text),
        sa.Column("model_sha256", sa.String(64)),
        sa.Column("acceptance_sha256", sa.String(64)),
        sa.Column("probabilities", sa.Text),
        sa.Column("label", sa.Text),
        sa.Column("status", sa.Text),
        sa.Column("code", sa.Text),
        sa.Column("reasons", sa.Text),
        sa.Column("warnings", sa.Text),
        sa.Column("decode_ms", sa.Float(53)),
        sa.Column("inference_ms", sa.Float(53)),
        sa.Column("lost", sa.Integer),
        sa.Column("previous", sa.String(64), nullable=False),
        sa.Column("mac", sa.String(64), nullable=False),
    )
    op.create_index("ix_audit_row_request_id", "audit_row", ["request_id"])
    op.create_table(
        "audit_head",
        sa.Column("chain", sa.String(26), primary_key=True),
        sa.Column("segment", sa.String(10), nullable=False),
        sa.Column("first_seq", sa.BigInteger, nullable=False),
        sa.Column("seq", sa.BigInteger, nullable=False),
        sa.Column("mac", sa.String(64), nullable=False),
        sa.Column("tag", sa.String(64), nullable=False),
    )
    op.create_table(
        "audit_ledger",
        sa.Column("number", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("kind", sa.String(16), nullable=False),
        sa.Column("time", sa.String(27), nullable=False),
        sa.Column("chain", sa.String(26)),
        sa.Column("segment", sa.String(10)),
        sa.Column("first_seq", sa.BigInteger),
        sa.Column("last_seq", sa.BigInteger),
        sa.Column("last_mac", sa.String(64)),
        sa.Column("previous", sa.String(64), nullable=False),
        sa.Column("mac", sa.String(64), nullable=False),
    )
    postgresql = op.get_bind().dialect.name == "postgresql"
    op.execute(_REFUSE_POSTGRESQL if postgresql else _REFUSE_SQLITE)
