"""What is written down: folder, key and database of the audit trail. Nothing is made."""

import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from app.cli.checks.finding import Finding
from app.errors import RecordsError
from app.settings.settings import Settings

if TYPE_CHECKING:
    from app.records.store.database import Database


def check_audit(settings: Settings) -> Finding:
    """Find whether the audit trail can be kept where the settings say."""
    if not settings.audit_folder:
        told = "nothing is written down"
        return Finding("audit", "ok", f"{told}: NEUMO_AUDIT_FOLDER, docs/audit.md, turns it on")
    from app.records.store.database import Database, database_url
    from app.records.store.opening import find_key, key_path

    folder = Path(settings.audit_folder).absolute()
    existing = _nearest(folder)
    if not (existing.is_dir() and os.access(existing, os.W_OK | os.X_OK)):
        advice = "Point NEUMO_AUDIT_FOLDER at a folder that this user may write."
        return Finding("audit", "fail", f"{folder} can't be written", advice)
    try:
        key = find_key(settings)
        database = Database(database_url(settings.audit_database, folder))
    except RecordsError as error:
        what, _, advice = error.detail("en").partition(". ")
        return Finding("audit", "fail", what, advice)
    try:
        found = _check_database(database, folder)
    finally:
        database.close()
    if found.level != "ok":
        return found
    room = settings.worker_count * settings.audit_spool_bytes
    if shutil.disk_usage(existing).free < room:
        told = f"{existing} has less than the {room / 1e6:,.0f} MB that spools may take"
        return Finding("audit", "warn", told, "Make room, or lower NEUMO_AUDIT_SPOOL_BYTES.")
    beside = database.is_file and not settings.audit_key_file
    return _check_key(key_path(settings), found, is_new=key is None, beside=beside)


def _check_database(database: "Database", folder: Path) -> Finding:
    from app.records.store.database import AWAY

    where = database.place
    if database.is_file and not Path(where).exists():
        return Finding("audit", "ok", f"{where} will be made")
    try:
        revision = database.revision()
    except AWAY as error:
        told = f"{where} does not answer as it should ({type(error).__name__})"
        if database.is_file:
            return Finding("audit", "fail", told, "Look at its owner and its rights.")
        advice = (
            "Look whether it is up, at PGPASSFILE, and at the role's rights. It serves all the "
            "same: rows wait in the folder."
        )
        return Finding("audit", "warn", told, advice)
    state = "is there" if revision else "answers, and its tables will be made"
    return Finding("audit", "ok", f"{where} {state}, {folder} can be written")


def _check_key(path: Path, found: Finding, *, is_new: bool, beside: bool) -> Finding:
    from app.records.integrity.secret_file import is_open_to_others

    if is_new:
        return Finding("audit", "ok", f"{found.text}; a key will be made: {path}")
    if is_open_to_others(path):
        told = f"others than its owner can read {path}: they could make up rows"
        return Finding("audit", "warn", told, f"chmod 600 {path}")
    if beside:
        told = f"the key {path} lies beside its database: who holds both can make up rows"
        return Finding("audit", "warn", told, "Set NEUMO_AUDIT_KEY_FILE to another place.")
    return Finding("audit", "ok", f"{found.text}; its key is {path}")


def _nearest(path: Path) -> Path:
    """Return the folder, or what is there of the way to it."""
    return next(each for each in (path, *path.parents) if each.exists())
