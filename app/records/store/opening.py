"""Opening: folder, key and database as the settings name them, made where they are not there."""

import logging
from pathlib import Path
from typing import Final

from ulid import ULID

from app.errors import AuditFolderUnusable, AuditKeyUnusable
from app.records.integrity.audit_key import AuditKey, make_key, read_key
from app.records.integrity.secret_file import is_open_to_others
from app.records.store.database import AWAY, Database, database_url
from app.records.store.ledger import begin_ledger, has_mark
from app.records.store.spool import SUFFIX
from app.settings.audit_settings import AuditSettings

_log = logging.getLogger("neumo.records")

_KEY_NAME: Final = "audit.key"


def key_path(settings: AuditSettings) -> Path:
    """Return where the key lies."""
    if settings.audit_key_file:
        return Path(settings.audit_key_file)
    return Path(settings.audit_folder) / _KEY_NAME


def open_records(settings: AuditSettings) -> tuple[AuditKey, Database]:
    """Make the folder and the key if they are not there, and return the key and the database.

    Raises
    ------
    RecordsError
    """
    folder = Path(settings.audit_folder)
    url = database_url(settings.audit_database, folder)
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        probe = folder / f".{ULID()}"
        probe.touch(mode=0o600)
        probe.unlink()
    except OSError as error:
        raise AuditFolderUnusable(reason=error.strerror or type(error).__name__) from None
    key = find_key(settings)
    if key is None:
        path = key_path(settings)
        make_key(path)
        key = read_key(path)
    return key, Database(url)


def find_key(settings: AuditSettings) -> AuditKey | None:
    """Return the key; None if it is still to be made.

    Raises
    ------
    RecordsError
        If it can't be used, or rows were chained by one that is not there.
    """
    path = key_path(settings)
    if path.exists():
        return read_key(path)
    folder = Path(settings.audit_folder)
    url = database_url(settings.audit_database, folder)
    begun = url.drivername == "sqlite" and Path(url.database or "").exists()
    if begun or has_mark(folder) or any(folder.glob(f"*{SUFFIX}")):
        raise AuditKeyUnusable(reason=f"{path.name} is not there, and rows were chained by it")
    return None


def prepare_database(database: Database, key: AuditKey) -> None:
    """Bring the schema up to date, and see that the ledger was begun with this key.

    Raises
    ------
    AuditDatabaseUnusable, AuditKeyUnusable
    sqlalchemy.exc.SQLAlchemyError
        If the database does not answer.
    """
    database.upgrade()
    begin_ledger(database, key)


def prepare_records(settings: AuditSettings) -> None:
    """See, before any worker is started, that records can be kept; upgrade the database's schema.

    A PostgreSQL that does not answer is only told in the log: spools hold the rows until it does.

    Raises
    ------
    RecordsError
    """
    key, database = open_records(settings)
    path = key_path(settings)
    if is_open_to_others(path):
        _log.warning("the audit trail's key can be read by others than its owner")
    if not settings.audit_key_file and database.is_file:
        _log.warning("the audit trail's key lies beside its database: set NEUMO_AUDIT_KEY_FILE")
    try:
        prepare_database(database, key)
    except AWAY as error:
        if database.is_file:
            raise AuditFolderUnusable(reason=type(error).__name__) from None
        members = {"error": type(error).__name__}
        _log.error("the audit trail's database does not answer", extra={"members": members})
    finally:
        database.close()
