"""training.meter: a bar on a terminal, a line a minute elsewhere, nothing where nobody asked."""

import io
import sys

import pytest

from training import meter
from training.meter import Meter, show, span, track


class Clock:
    """Time that passes only when a test says so."""

    def __init__(self) -> None:
        self.now_s = 1000.0

    def monotonic(self) -> float:
        return self.now_s


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    found = Clock()
    monkeypatch.setattr(meter, "time", found)
    return found


def count_slowly(count: int, clock: Clock) -> None:
    """Let so many things take two seconds each."""
    for _ in track(range(count), "reading", "image"):
        clock.now_s += 2


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_file_gets_one_line_of_what_was_counted(
    capsys: pytest.CaptureFixture[str], clock: Clock
) -> None:
    for _ in track(range(5), "reading fit", "image"):
        clock.now_s += 1.5
    told = capsys.readouterr()
    assert (told.out, told.err) == ("", "reading fit: 5 images, 8 s\n")


def test_what_takes_long_has_a_line_a_minute_with_the_time_left(
    capsys: pytest.CaptureFixture[str], clock: Clock
) -> None:
    with Meter("ours-1", 200, "batch") as counted:
        for number in range(1, 101):
            clock.now_s += 1.2
            counted.step(f"loss {1 / number:.2f}", f"ours-1, epoch {1 + number // 100} of 2")
    assert capsys.readouterr().err.splitlines() == [
        "ours-1, epoch 1 of 2: 50 of 200 batches, loss 0.02, about 3 min left",
        "ours-1, epoch 2 of 2: 100 of 200 batches, loss 0.01, about 2 min left",
    ]


def test_the_time_left_is_of_this_process_not_of_what_was_done_before(clock: Clock) -> None:
    with Meter("ours-1", 100, "batch", done=80) as counted:
        assert counted.left() == ""
        for _ in range(10):
            clock.now_s += 6
            counted.step()
        assert counted.left() == "about 60 s left"
        for _ in range(10):
            counted.step()
        assert counted.left() == ""


def test_what_fails_is_not_told_as_done(capsys: pytest.CaptureFixture[str]) -> None:
    next(track(range(5), "reading", "image"))  # and no more of it
    with pytest.raises(ValueError, match="x"), Meter("reading", 1, "image", announce=True):
        raise ValueError("x")
    assert capsys.readouterr().err == ""


def test_a_terminal_has_one_bar_for_the_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    screen = Terminal()
    monkeypatch.setattr(sys, "stderr", screen)
    with Meter("ours-1", 4, "batch", done=1) as counted:
        for epoch in (1, 2, 2):
            counted.step("loss 0.5", f"ours-1, epoch {epoch} of 2")
    drawn = screen.getvalue().split("\r")
    assert drawn[-1].startswith("ours-1, epoch 2 of 2: 100%|")
    assert "4/4" in drawn[-1]
    assert "loss 0.5" in drawn[-1]


def test_lines_stay_lines_on_a_terminal_that_several_processes_share(
    monkeypatch: pytest.MonkeyPatch, clock: Clock
) -> None:
    screen = Terminal()
    monkeypatch.setattr(sys, "stderr", screen)
    with show("lines"):
        count_slowly(2, clock)
    assert screen.getvalue() == "reading: 2 images, 4 s\n"


def test_quiet_shows_nothing_and_what_comes_after_is_shown_again(
    capsys: pytest.CaptureFixture[str], clock: Clock
) -> None:
    with show("nothing"), Meter("ours-1", 2, "batch", announce=True) as counted:
        clock.now_s += 100
        counted.step()
        counted.say("epoch 1")
        count_slowly(2, clock)
    told = capsys.readouterr()
    assert (told.out, told.err) == ("", "")
    count_slowly(1, clock)
    assert capsys.readouterr().err == "reading: 1 image, 2 s\n"


def test_what_takes_less_than_a_second_is_not_worth_a_line(
    capsys: pytest.CaptureFixture[str], clock: Clock
) -> None:
    for _ in track(range(9), "reading", "image"):
        clock.now_s += 0.1
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(
    ("seconds", "said"),
    [(0.4, "0 s"), (119, "119 s"), (120, "2 min"), (7199, "120 min"), (7300, "2 h 2 min")],
)
def test_a_span_of_time_is_said_as_people_do(seconds: float, said: str) -> None:
    assert span(seconds) == said
