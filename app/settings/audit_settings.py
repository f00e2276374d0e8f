"""Settings of what is written down: the audit trail, and what is worked out from it."""

from typing import Literal

from pydantic import Field
from pydantic_settings import BaseSettings

WhenFull = Literal["count", "refuse"]


class AuditSettings(BaseSettings):
    """Where the audit trail lies, and what happens when it can't be written."""

    audit_folder: str = Field(
        "",
        description="Folder of the audit trail: its spool, its heads and, if audit_database is "
        "empty, the SQLite database audit.sqlite. Made if it isn't there; one that can't be "
        "written stops the start. Empty: nothing is written down.",
    )
    audit_database: str = Field(
        "",
        description="Database of the audit trail, as postgresql://user@host/name (needs "
        "neumo[postgres]; leave the password to PGPASSFILE) or sqlite:////path. Empty: SQLite in "
        "audit_folder.",
    )
    audit_key_file: str = Field(
        "",
        description="File of the key that chains the audit trail's rows; made, for its owner alone "
        "to read, if it isn't there and nothing was chained yet. Empty: audit.key in audit_folder, "
        "which whoever can change a SQLite database there can read too.",
    )
    audit_flush_ms: int = Field(
        200,
        ge=10,
        le=60_000,
        description="Milliseconds between two writes of the audit trail to disk: what a killed "
        "process may lose of it.",
    )
    audit_spool_bytes: int = Field(
        64 * 2**20,
        ge=64 * 2**10,
        le=2**40,
        description="Most bytes on disk, of each worker, of rows that the audit trail's database "
        "has not taken yet; about 1 KB a row.",
    )
    audit_when_full: WhenFull = Field(
        "count",
        description="When a row can't be written, spool full or disk full: count (answer, and "
        "count neumo_audit_lost_total) or refuse (503 records_full, and not ready).",
    )
    audit_retention_days: int = Field(
        0,
        ge=0,
        le=36_500,
        description="Days that rows of the audit trail are kept: whole sealed days are dropped, "
        "their seals stay. 0: for ever.",
    )
    performance_days: int = Field(
        90,
        ge=1,
        le=9999,
        description="Days that /performance and its metrics look back, by when films were read.",
    )
