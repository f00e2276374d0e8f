"""training.run.progress: what TensorBoard and the eye are shown."""

import struct
from contextlib import closing
from dataclasses import asdict, replace
from pathlib import Path

import pytest
from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboardX.proto.event_pb2 import Event

from tests.training.plots import points_by_name
from training.meter import Meter
from training.run.history import Epoch
from training.run.progress import Journal, draw_curves

HISTORY = [
    Epoch(1, 64, 1e-3, 1.4, 1.5, 0.25, 0.6, 2.5),
    Epoch(2, 224, 5e-4, 0.7, 1.3, 0.375, 0.7, 2.5),
    Epoch(3, 224, 2e-4, 0.5, 1.4, 0.5, 0.65, 2.5),
]
METER = Meter("drawn", 3, "batch")


def read_scalars(folder: Path) -> dict[int, dict[str, float]]:
    """Return {epoch: {name: value}} of the folder's one events file.

    Its records are a length (8 bytes), its checksum (4), an event, and its checksum (4).
    """
    (path,) = folder.glob("events.*")
    content, scalars = path.read_bytes(), dict[int, dict[str, float]]()
    while content:
        (length,) = struct.unpack("<Q", content[:8])
        event = Event.FromString(content[12 : 12 + length])
        for value in event.summary.value:
            scalars.setdefault(event.step, {})[value.tag] = value.simple_value
        content = content[12 + length + 4 :]
    return scalars


def expected(history: list[Epoch]) -> dict[int, object]:
    """Return the history as TensorBoard's float32."""
    figures = {epoch.epoch: asdict(epoch) for epoch in history}
    return {
        number: pytest.approx({name: value for name, value in line.items() if name != "epoch"})
        for number, line in figures.items()
    }


def test_the_events_are_the_history(tmp_path: Path) -> None:
    with closing(Journal(tmp_path, [])) as journal:
        for count in (1, 2, 3):
            journal.write(HISTORY[:count], METER)
    assert read_scalars(tmp_path) == expected(HISTORY)


def test_a_resumed_run_has_one_events_file_of_all_its_epochs(tmp_path: Path) -> None:
    with closing(Journal(tmp_path, [])) as journal:
        journal.write(HISTORY[:1], METER)
        journal.write([HISTORY[0], replace(HISTORY[1], train_loss=9)], METER)  # not kept
    with closing(Journal(tmp_path, HISTORY[:1])) as journal:
        journal.write(HISTORY[:2], METER)
        journal.write(HISTORY, METER)
    assert read_scalars(tmp_path) == expected(HISTORY)


def test_nothing_but_events_is_replaced(tmp_path: Path) -> None:
    (tmp_path / "best.pt").write_bytes(b"weights")
    Journal(tmp_path, []).close()
    assert (tmp_path / "best.pt").read_bytes() == b"weights"


def test_the_curves_are_an_image_that_each_epoch_changes(tmp_path: Path) -> None:
    drawn = []
    with closing(Journal(tmp_path, [])) as journal:
        for count in (1, 2):
            journal.write(HISTORY[:count], METER)
            drawn.append((tmp_path / "curves.png").read_bytes())
    assert drawn[0] != drawn[1]
    with Image.open(tmp_path / "curves.png") as curves:
        assert min(curves.size) > 300
        assert len(curves.convert("RGB").getcolors(1 << 24)) > 10  # lines, not a blank page


def test_the_curves_are_drawn_again_at_a_resume(tmp_path: Path) -> None:
    with closing(Journal(tmp_path, [])) as journal:
        journal.write(HISTORY, METER)
    before = (tmp_path / "curves.png").read_bytes()
    (tmp_path / "curves.png").unlink()
    Journal(tmp_path, HISTORY).close()
    assert (tmp_path / "curves.png").read_bytes() == before


def test_every_epoch_has_its_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with closing(Journal(tmp_path, HISTORY[:1])) as journal:
        journal.write(HISTORY[:2], METER)
    assert capsys.readouterr().out == (
        "epoch 2: 224 px, loss 0.7000, validation loss 1.3000, accuracy 0.3750, "
        "macro-AUROC 0.7000, 2 s\n"
    )


def test_curves_show_each_epoch() -> None:
    left, right = draw_curves(HISTORY[:2]).axes
    assert points_by_name(left) == {
        "training (weighted, augmented)": [[1, 1.4], [2, 0.7]],
        "validation": [[1, 1.5], [2, 1.3]],
    }
    assert points_by_name(right) == {
        "accuracy": [[1, 0.25], [2, 0.375]],
        "macro-AUROC": [[1, 0.6], [2, 0.7]],
    }


def test_curves_can_be_drawn_after_one_epoch() -> None:
    left, _ = draw_curves(HISTORY[:1]).axes
    assert points_by_name(left)["training (weighted, augmented)"] == [[1, 1.4]]


def test_tensorboard_reads_the_events_with_its_own_reader(tmp_path: Path) -> None:
    with closing(Journal(tmp_path, [])) as journal:
        journal.write(HISTORY[:1], METER)
    with closing(Journal(tmp_path, HISTORY[:1])) as journal:
        journal.write(HISTORY[:2], METER)
        journal.write(HISTORY, METER)
    accumulator = EventAccumulator(str(tmp_path))
    accumulator.Reload()
    names = {name for name in asdict(HISTORY[0]) if name != "epoch"}
    assert set(accumulator.Tags()["scalars"]) == names
    losses = [(told.step, told.value) for told in accumulator.Scalars("validation_loss")]
    assert losses == [(1, 1.5), (2, pytest.approx(1.3)), (3, pytest.approx(1.4))]
