"""The database: its tables, how it is reached and kept up to date. SQLite and PostgreSQL alike."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import sqlalchemy as sa
from alembic.command import upgrade
from alembic.config import Config
from alembic.script import ScriptDirectory
from alembic.util import CommandError
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import ArgumentError, SQLAlchemyError
from sqlalchemy.pool import ConnectionPoolEntry

from app.errors import AuditDatabaseUnusable

AWAY: Final = (SQLAlchemyError, OSError)
"""What is raised where the database does not answer, or does not do what it is asked."""

METADATA: Final = sa.MetaData()
REVISION_TABLE: Final = "neumo_revision"

ROWS: Final = sa.Table(
    "audit_row",
    METADATA,
    sa.Column("chain", sa.String(26), primary_key=True),
    sa.Column("seq", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("segment", sa.String(10), nullable=False),
    sa.Column("time", sa.String(27), nullable=False),
    sa.Column("kind", sa.String(16), nullable=False),
    sa.Column("neumo", sa.Text),
    sa.Column("request_id", sa.String(36), index=True),
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
    sa.Column("truth", sa.Text),
    sa.Column("certainty", sa.Text),
    sa.Index(
        "ix_audit_row_feedback",
        "time",
        sqlite_where=sa.text("kind = 'feedback'"),
        postgresql_where=sa.text("kind = 'feedback'"),
    ),
)
"""A row for each thing that was seen. Lists and probabilities are JSON; a MAC covers the row."""

HEADS: Final = sa.Table(
    "audit_head",
    METADATA,
    sa.Column("chain", sa.String(26), primary_key=True),
    sa.Column("segment", sa.String(10), nullable=False),
    sa.Column("first_seq", sa.BigInteger, nullable=False),
    sa.Column("seq", sa.BigInteger, nullable=False),
    sa.Column("mac", sa.String(64), nullable=False),
    sa.Column("tag", sa.String(64), nullable=False),
)
"""Where each chain that has not ended has come to (`app.records.integrity.chain.Head`)."""

LEDGER: Final = sa.Table(
    "audit_ledger",
    METADATA,
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
"""The seals of all chains, a chain of their own: begin, seal (a day), end (of a chain), drop."""

_SQLITE: Final = "sqlite"
_POSTGRESQL: Final = "postgresql+psycopg"
_UPGRADE_LOCK: Final = 0x6E65756D6F01
_LEDGER_LOCK: Final = 0x6E65756D6F02
_BUSY_MS: Final = 5000
_POSTGRESQL_ARGUMENTS: Final = {
    "connect_timeout": 3,
    "options": "-c statement_timeout=15000 -c lock_timeout=5000",
    "tcp_user_timeout": 10_000,
    "application_name": "neumo",
}


class Database:
    """A database of records; connections are made when they are needed.

    Parameters
    ----------
    url : as `database_url` returns it

    Raises
    ------
    AuditDatabaseUnusable
        If it can't be one. Whether anybody answers there is not asked.
    """

    def __init__(self, url: sa.URL) -> None:
        self._path = url.database if url.drivername == _SQLITE else None
        arguments = (
            dict(_POSTGRESQL_ARGUMENTS) if self._path is None else {"timeout": _BUSY_MS / 1000}
        )
        try:
            self.engine = sa.create_engine(
                url,
                connect_args=arguments,
                pool_size=2,
                max_overflow=2,
                pool_timeout=5,
                pool_pre_ping=self._path is None,
                hide_parameters=True,
            )
        except (ModuleNotFoundError, SQLAlchemyError):
            raise AuditDatabaseUnusable(reason="PostgreSQL needs neumo[postgres]") from None
        if self._path is not None:
            sa.event.listen(self.engine, "connect", _set_up_sqlite)
            sa.event.listen(self.engine, "begin", _begin_sqlite)

    @property
    def is_file(self) -> bool:
        """Whether it is SQLite, so lies on this machine."""
        return self._path is not None

    @property
    def place(self) -> str:
        """Where it is: a path, or a URL without its password."""
        return self._path or self.engine.url.set(
            drivername="postgresql", query={}
        ).render_as_string(hide_password=True)

    def revision(self) -> str | None:
        """Return the revision of its schema; None if it has none yet.

        Raises
        ------
        sqlalchemy.exc.SQLAlchemyError
            If it can't be reached, or its tables may not be read.
        """
        with self.engine.connect() as connection:
            return self._revision(connection)

    @contextmanager
    def writing(self) -> Iterator[sa.Connection]:
        """Open a transaction that changes something: all of it, or nothing."""
        with self.engine.connect() as connection:
            options = connection.execution_options(neumo_writes=True)
            with options.begin():
                yield options

    @contextmanager
    def reading(self) -> Iterator[sa.Connection]:
        """Open a transaction that sees one state of everything, and changes nothing."""
        with self.engine.connect() as connection:
            if self._path is None:
                connection = connection.execution_options(  # noqa: PLW2901 - the same one
                    isolation_level="REPEATABLE READ", postgresql_readonly=True
                )
            with connection.begin():
                yield connection

    def upgrade(self, revision: str = "head") -> None:
        """Bring the schema to a revision; of several processes one does it, the others wait.

        Raises
        ------
        AuditDatabaseUnusable
            If a newer Neumo made it.
        sqlalchemy.exc.SQLAlchemyError
            If it can't be reached or written.
        """
        self.make_private()
        here = Path(__file__).parents[1]
        config = Config()
        config.set_main_option("script_location", str(here / "migrations").replace("%", "%%"))
        config.set_main_option("version_locations", str(here / "revisions").replace("%", "%%"))
        config.set_main_option("path_separator", "newline")
        newest = ScriptDirectory.from_config(config).get_current_head()
        if revision == "head" and self.revision() == newest:
            return
        with self.writing() as connection:  # SQLite: nobody else writes from here on
            if self._path is None:
                connection.execute(sa.select(sa.func.pg_advisory_xact_lock(_UPGRADE_LOCK)))
            config.attributes["connection"] = connection
            try:
                upgrade(config, revision)
            except CommandError:
                raise AuditDatabaseUnusable(reason="a newer Neumo made it") from None

    def lock_ledger(self, connection: sa.Connection) -> None:
        """Let nobody else write into the ledger before this transaction ends."""
        if self._path is None:
            connection.execute(sa.select(sa.func.pg_advisory_xact_lock(_LEDGER_LOCK)))

    def insert_new(self, connection: sa.Connection, rows: list[dict[str, Any]]) -> None:
        """Insert rows into `ROWS`; those that are there already stay as they are."""
        dialect = postgresql if self._path is None else sqlite
        blank = dict.fromkeys(column.name for column in ROWS.columns)
        statement = dialect.insert(ROWS).on_conflict_do_nothing()
        connection.execute(statement, [blank | row for row in rows])

    def close(self) -> None:
        """Close all connections."""
        self.engine.dispose()

    @staticmethod
    def _revision(connection: sa.Connection) -> str | None:
        if not sa.inspect(connection).has_table(REVISION_TABLE):
            return None
        found = connection.execute(sa.text(f"SELECT version_num FROM {REVISION_TABLE}")).scalar()  # noqa: S608 - a name of our own
        return None if found is None else str(found)

    def make_private(self) -> None:
        """Make SQLite's file for its owner alone; what SQLite puts beside it gets the same mode."""
        if self._path and not Path(self._path).exists():
            os.close(os.open(self._path, os.O_CREAT | os.O_RDWR, 0o600))


def database_url(told: str, folder: Path) -> sa.URL:
    """Return where the database is.

    Parameters
    ----------
    told : by the settings; empty: SQLite in `folder`

    Raises
    ------
    AuditDatabaseUnusable
    """
    if not told:
        return sa.URL.create(_SQLITE, database=str(folder / "audit.sqlite"))
    try:
        url = sa.make_url(told)
    except (ArgumentError, ValueError):
        raise AuditDatabaseUnusable(reason="it is no URL") from None
    if url.drivername in ("postgresql", "postgres", _POSTGRESQL):
        return url.set(drivername=_POSTGRESQL)
    if url.drivername != _SQLITE or not url.database:
        raise AuditDatabaseUnusable(reason="only postgresql:// and sqlite:// are kept")
    return url


def _set_up_sqlite(connection: Any, _: ConnectionPoolEntry) -> None:  # noqa: ANN401 - DBAPI's
    # Transactions are begun by `_begin_sqlite`: the driver would begin a deferred one, and only
    # before some statements.
    connection.isolation_level = None
    for pragma in ("journal_mode=WAL", "synchronous=FULL", f"busy_timeout={_BUSY_MS}"):
        connection.execute(f"PRAGMA {pragma}").close()


def _begin_sqlite(connection: sa.Connection) -> None:
    writes = connection.get_execution_options().get("neumo_writes")
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")
