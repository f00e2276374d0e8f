"""What a traceparent names, and stages that are noted of a request."""

import pytest

from app.errors import NotAChestXray
from app.service.trace import noting, trace_id_of

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
PARENT = "00f067aa0ba902b7"


class Noted:
    """Keeps what it is told."""

    trace_id = TRACE

    def __init__(self) -> None:
        self.stages: list[tuple[str, str | None]] = []

    def note(self, stage: str, begun_ns: int, ended_ns: int, failed: str | None = None) -> None:
        assert 0 < begun_ns <= ended_ns
        self.stages.append((stage, failed))

    def end(self, *_: object) -> None:
        raise AssertionError


@pytest.mark.parametrize("flags", ["00", "01", "ff"])
def test_the_id_is_taken_whether_it_is_sampled_or_not(flags: str) -> None:
    assert trace_id_of(f"00-{TRACE}-{PARENT}-{flags}") == TRACE


def test_a_later_version_may_have_more() -> None:
    assert trace_id_of(f"01-{TRACE}-{PARENT}-01-what-ever-comes") == TRACE


@pytest.mark.parametrize(
    "header",
    [
        "",
        "DOE^JOHN",
        f"00-{TRACE}-{PARENT}",
        f"00-{TRACE}-{PARENT}-01-more",
        f"00-{TRACE.upper()}-{PARENT}-01",
        f"00-{'0' * 32}-{PARENT}-01",
        f"00-{TRACE}-{'0' * 16}-01",
        f"ff-{TRACE}-{PARENT}-01",
        f"00-{TRACE}-{PARENT}-01\n",
    ],
)
def test_what_the_standard_forbids_names_no_trace(header: str) -> None:
    assert trace_id_of(header) is None


def test_a_stage_is_noted_with_how_it_ended() -> None:
    trace = Noted()
    with noting(trace, "render"):
        pass
    with pytest.raises(NotAChestXray), noting(trace, "read"):
        raise NotAChestXray(reason="unlike")
    with pytest.raises(ZeroDivisionError), noting(trace, "render"):
        raise ZeroDivisionError("DOE^JOHN")
    assert trace.stages == [
        ("render", None),
        ("read", "not_a_chest_xray"),
        ("render", "ZeroDivisionError"),
    ]


def test_without_a_trace_nothing_is_done() -> None:
    with noting(None, "render"):
        pass
