"""The two kinds of database, for what has to hold on both."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.app.records.trails import Place
from tests.postgresql import Cluster, cluster, why_not


@pytest.fixture(scope="session")
def postgresql() -> Iterator[Cluster]:
    """A running PostgreSQL."""
    reason = why_not()
    if reason is not None:
        pytest.skip(reason)
    pytest.importorskip("psycopg", reason="the extra postgres is not installed")
    with cluster() as running:
        yield running


@pytest.fixture(params=["sqlite", "postgresql"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    """Where a trail may be kept, in each kind of database."""
    url = ""
    if request.param == "postgresql":
        url = request.getfixturevalue("postgresql").make()
    return Place(tmp_path / "audit", audit_database=url)
