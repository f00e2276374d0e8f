"""tests.fuzz.driver: it finds what it looks for, and says with which input."""

import ctypes
import time
from collections.abc import Iterator

from tests.fuzz import driver
from tests.fuzz.driver import fuzz
from tests.fuzz.target import Target, Wrong


class Planted(Target):
    """Reads numbers; one of them goes wrong."""

    name = "planted"
    bad = b"7"

    def inputs(self, first: int, count: int) -> Iterator[bytes]:
        """Give numbers."""
        return (b"%d" % number for number in range(first, first + count))

    def run(self, data: bytes) -> str:
        """Fail at one."""
        if data == self.bad:
            self.fail()
        return "read"

    def fail(self) -> None:
        """Go wrong."""


class Crashing(Planted):
    """Ends its process."""

    def fail(self) -> None:
        """Read where nothing is."""
        ctypes.string_at(0)


class Hanging(Planted):
    """Never ends."""

    def fail(self) -> None:
        """Sleep."""
        time.sleep(60)


class Slow(Planted):
    """Takes over a second."""

    def fail(self) -> None:
        """Sleep a little."""
        time.sleep(1.05)


class Raising(Planted):
    """Fails, and quotes."""

    def fail(self) -> None:
        """Raise."""
        raise ValueError(self.bad)


class Hungry(Planted):
    """Wants more memory than there may be."""

    def fail(self) -> None:
        """Take it."""
        bytearray(driver._ADDRESS_SPACE_BYTES)


class Untrue(Planted):
    """Says what is wrong itself."""

    def fail(self) -> None:
        """Say it."""
        raise Wrong("untrue")


class Growing(Planted):
    """Lets go of nothing."""

    kept: list[bytes]

    def open(self) -> None:
        """Keep all."""
        self.kept = []

    def run(self, data: bytes) -> str:
        """Keep half a megabyte each."""
        self.kept.append(data * (2**19 // len(data)))
        return "read"


def found(target: Target, hang_s: float = 20) -> tuple[str, bytes, int]:
    tally = fuzz(target, 20, hang_s=hang_s)
    assert tally.ends["read"] >= 12  # it went on behind the one that killed
    (finding,) = tally.findings
    assert tally.wrong()
    return finding.what, finding.data, finding.number


def test_a_crash_is_found_with_its_input_and_the_run_goes_on() -> None:
    assert found(Crashing()) == ("crash (-11)", b"7", 7)


def test_a_hang_is_found() -> None:
    assert found(Hanging(), hang_s=2) == ("hang (2 s)", b"7", 7)


def test_what_is_slow_each_time_is_found() -> None:
    what, data, _ = found(Slow())
    assert (what[:6], data) == ("slow (", b"7")


def test_an_exception_is_told_by_its_place() -> None:
    what, data, _ = found(Raising())
    assert what.startswith("ValueError at test_driver.py:")
    assert data == b"7"


def test_what_takes_more_memory_than_there_may_be_is_found() -> None:
    assert found(Hungry())[0].startswith("MemoryError at ")


def test_what_a_target_finds_untrue_is_told() -> None:
    assert found(Untrue()) == ("untrue", b"7", 7)


def test_growth_is_found() -> None:
    tally = fuzz(Growing(), 1200)
    assert [words[:10] for words in tally.wrong()] == ["it grew by"]


def test_nothing_is_found_where_nothing_is_wrong() -> None:
    tally = fuzz(Planted(), 1200, first=3)
    assert (tally.wrong(), tally.ends) == ([], {"read": 1200})


def test_a_number_names_an_input_whichever_run_gives_it() -> None:
    from tests.fuzz.targets import TARGETS  # noqa: PLC0415 - only here

    for target in TARGETS.values():
        target.open()
        whole = list(target.inputs(0, 40))
        assert list(target.inputs(30, 10)) == whole[30:], target.name
        target.close()
