"""app.records.store.database: one schema in both kinds, upgraded once, from older ones too."""

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext

from app.errors import AuditDatabaseUnusable
from app.records.integrity.audit_key import AuditKey
from app.records.integrity.chain import Head, link
from app.records.integrity.verification import verify
from app.records.store.database import METADATA, REVISION_TABLE, ROWS, Database, database_url
from app.records.store.ledger import begin_ledger
from app.records.store.opening import open_records
from tests.app.records.trails import Place

KEY = AuditKey(bytes(32))


@pytest.fixture
def database(place: Place) -> Iterator[Database]:
    """An empty database without a schema."""
    _, database = open_records(place.settings)
    yield database
    database.close()


def revision(database: Database) -> str:
    with database.reading() as connection:
        table = sa.table(REVISION_TABLE, sa.column("version_num"))
        return str(connection.execute(sa.select(table)).scalar())


def test_the_revisions_make_the_tables_that_the_code_names(database: Database) -> None:
    database.upgrade()
    with database.engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"version_table": REVISION_TABLE})
        assert compare_metadata(context, METADATA) == []


def test_rows_of_an_older_schema_are_whole_after_the_upgrade(
    database: Database, tmp_path: Path
) -> None:
    database.upgrade("0001")
    assert revision(database) == "0001"
    _, line = link(Head("chain"), KEY, 10**18, {"kind": "reading", "label": "normal"})
    row = json.loads(line)
    older = sa.Table("audit_row", sa.MetaData(), *(
        sa.Column(name, sa.Text) for name in row if name != "seq"
    ), sa.Column("seq", sa.BigInteger))  # fmt: skip
    with database.writing() as connection:
        connection.execute(sa.insert(older), row)
    database.upgrade()
    assert revision(database) == "0002"
    begin_ledger(database, KEY)
    verdict = verify(database, KEY, tmp_path)
    assert verdict.rows == 1
    assert [each.what for each in verdict.findings] == ["forgotten"]  # no head was written here
    with database.reading() as connection:
        assert connection.execute(sa.select(ROWS.c.truth, ROWS.c.label)).one() == (None, "normal")


def test_of_many_that_start_at_once_one_upgrades(place: Place) -> None:
    databases = [open_records(place.settings)[1] for _ in range(4)]
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda each: each.upgrade(), databases))
    assert {revision(each) for each in databases} == {"0002"}
    for each in databases:
        each.close()


def test_a_schema_of_a_newer_neumo_is_left_alone(database: Database) -> None:
    database.upgrade()
    with database.writing() as connection:
        table = sa.table(REVISION_TABLE, sa.column("version_num"))
        connection.execute(sa.update(table).values(version_num="9999"))
    with pytest.raises(AuditDatabaseUnusable, match="newer"):
        database.upgrade()


def test_rows_can_not_be_updated(place: Place) -> None:
    place.write(1)
    _, database = open_records(place.settings)
    with pytest.raises(sa.exc.SQLAlchemyError), database.writing() as connection:
        connection.execute(sa.update(ROWS).values(label="covid19"))
    database.close()
    assert {row["label"] for row in place.rows()} == {None, "normal"}


def test_numbers_come_back_as_they_were(place: Place) -> None:
    shares = {"normal": 0.1 + 0.2, "covid19": 1e-17}
    place.write(1, decode_ms=0.1 + 0.2, inference_ms=1 / 3, probabilities=shares)
    (row,) = [row for row in place.rows() if row["kind"] == "reading"]
    assert (row["decode_ms"], row["inference_ms"]) == (0.1 + 0.2, 1 / 3)
    assert row["probabilities"] == '{"covid19": 1e-17, "normal": 0.30000000000000004}'
    assert place.verify().findings == []


def test_files_are_for_their_owner_alone(tmp_path: Path) -> None:
    place = Place(tmp_path / "audit")
    with place.trail():
        assert place.folder.stat().st_mode & 0o777 == 0o700
        place.rows()
        modes = {path.name: path.stat().st_mode & 0o777 for path in place.folder.iterdir()}
    assert {"audit.sqlite", "audit.key"} <= modes.keys()
    assert set(modes.values()) == {0o600}


@pytest.mark.parametrize("told", ["mysql://h/d", "no url", "sqlite://", "postgresql+asyncpg://h/d"])
def test_a_database_of_another_kind_is_refused(told: str, tmp_path: Path) -> None:
    with pytest.raises(AuditDatabaseUnusable):
        database_url(told, tmp_path)


def test_a_password_is_in_no_error(tmp_path: Path) -> None:
    with pytest.raises(AuditDatabaseUnusable) as caught:
        database_url("mysql://neumo:secret@h/d", tmp_path)
    assert "secret" not in str(caught.value)
