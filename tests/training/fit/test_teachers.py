"""training.fit.teachers: a bundle that is there answers for some sources, and is learned."""

from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.special import log_softmax
from torch.nn import functional as F

from app.model.bundle import find_bundle, read_bundle
from app.model.labels import LABEL_IDS
from app.model.session import Network
from tests.training.networks import draw_images, make_config, make_image_set
from training.data.images import ImageSet
from training.fit.teachers import BundleTeacher, find_teacher
from training.fit.trainer import Trainer, fit, load_best

BUNDLE = read_bundle(find_bundle("neumo-r18-2"))
SETTINGS: dict[str, object] = {
    "teacher_bundle": "neumo-r18-2",
    "teacher_sources": ["drawn"],
    "teacher_share": 0.75,
    "class_weights": "none",
}

quick = pytest.mark.usefixtures("small_network", "no_curves")


def test_a_bundle_answers_for_the_very_images_enlarged_to_its_side() -> None:
    images = torch.from_numpy(draw_images(2, side=64)).float()
    teacher = BundleTeacher(BUNDLE, np.ones(2, bool), 0.5)
    enlarged = F.interpolate(images, (224, 224), mode="bilinear").round().to(torch.uint8)
    expected = Network(BUNDLE.graph).run(enlarged.numpy()).probabilities
    np.testing.assert_allclose(teacher.answer(images).numpy(), expected, atol=1e-6)


def test_its_answers_are_in_our_order_of_labels() -> None:
    labels = BUNDLE.card.labels
    assert [label.id for label in labels] == list(LABEL_IDS)
    turned = BUNDLE.card.model_copy(update={"labels": labels[::-1]})
    images = torch.from_numpy(draw_images(2)).float()
    ours, theirs = (
        BundleTeacher(type(BUNDLE)(card, b"", BUNDLE.graph), np.ones(2, bool), 0.5).answer(images)
        for card in (BUNDLE.card, turned)
    )
    assert torch.equal(ours, theirs.flip(1))


def test_only_images_of_the_named_sources_are_asked_about() -> None:
    images = torch.from_numpy(draw_images(4, side=64)).float()
    config = make_config(**SETTINGS | {"teacher_sources": ["a", "c"]})
    teacher = find_teacher(config, ["a", "b", "c", "b", "b"])
    assert teacher is not None
    logits = torch.randn(4, 4, generator=torch.Generator().manual_seed(0))
    losses = torch.tensor([1.0, 2.0, 3.0, 4.0])
    mixed = teacher.mix(losses, logits, images, torch.tensor([4, 2, 0, 1]))
    assert (mixed[0], mixed[3]) == (1, 4)
    answers = teacher.answer(images).numpy()
    learned = -(answers * log_softmax(logits.numpy(), axis=1)).sum(1) / 4
    expected = [0.25 * own + 0.75 * told for own, told in zip([2, 3], learned[1:3], strict=True)]
    assert mixed[1:3].tolist() == pytest.approx(expected, rel=1e-5)
    assert losses.tolist() == [1, 2, 3, 4]


def test_without_a_bundle_there_is_no_teacher() -> None:
    assert find_teacher(make_config(), ["a"]) is None


@quick
def test_a_step_mixes_the_labels_loss_with_the_bundles_answers() -> None:
    train = make_image_set(4)
    trainer = Trainer(make_config(**SETTINGS), train)
    images, rows = torch.from_numpy(train.images).float(), torch.arange(4)
    logs = log_softmax(trainer.result.train()(images).detach().numpy(), axis=1)
    answers = BundleTeacher(BUNDLE, np.ones(4, bool), 1).answer(images).numpy()
    expected = -0.25 * logs[range(4), range(4)].mean() - 0.75 * (answers * logs).sum(1).mean()
    assert trainer._step(images, rows) == pytest.approx(float(expected), rel=1e-4)


@quick
def test_a_run_that_learns_from_a_bundle_resumes_to_the_bit(tmp_path: Path) -> None:
    train, validation = make_image_set(8), make_image_set(8, seed=1)

    def run(folder: Path, first: int) -> dict[str, torch.Tensor]:
        whole = make_config(runs=folder, epochs=2, **SETTINGS)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("training.fit.trainer.finished", lambda done, _: len(done) >= first)
            fit(whole, train, validation)
        fit(whole, train, validation, resume=True)
        state: dict[str, torch.Tensor] = load_best(whole).state_dict()
        return state

    once, twice = run(tmp_path / "1", 1), run(tmp_path / "2", 2)
    assert all(torch.equal(once[name], twice[name]) for name in once)


def test_a_set_without_the_source_is_not_asked(tmp_path: Path) -> None:
    train: ImageSet = make_image_set(4)
    config = make_config(runs=tmp_path, **SETTINGS | {"teacher_sources": ["elsewhere"]})
    teacher = find_teacher(config, [sample.source for sample in train.samples])
    assert teacher is not None
    losses = torch.ones(4)
    images = torch.from_numpy(train.images).float()
    assert teacher.mix(losses, torch.zeros(4, 4), images, torch.arange(4)) is losses
