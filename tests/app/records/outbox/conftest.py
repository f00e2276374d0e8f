"""A queue of its own for each test."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from app.records.outbox.outbox import Outbox
from tests.app.records.outbox.queues import Place


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path / "exchange")


@pytest.fixture
def outbox(place: Place) -> Iterator[Outbox]:
    opened = place.open()
    yield opened
    opened.close()
