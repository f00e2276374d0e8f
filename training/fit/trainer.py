"""Fine-tuning: epochs over the training images, the best or the last of them kept."""

import math
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack, closing
from dataclasses import asdict
from typing import Any, Final, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from app.errors import NeumoError
from app.language import Text
from training.augment.amplitudes import mix_amplitudes
from training.augment.augmentation import augment
from training.config import LABELS, Config
from training.data.images import ImageSet, digest_images, shrink
from training.devices.ranks import cut, this_rank
from training.devices.shared_norm import share_norms
from training.fit.inference import autocast, place, predict
from training.fit.loss import label_losses, weigh_images, weigh_labels
from training.fit.network import GreyResNet, build_model, parameter_groups, set_training_mode
from training.fit.sampling import group_samples
from training.fit.schedule import average_weights, warmup_cosine
from training.fit.teachers import find_teacher
from training.meter import Meter
from training.metrics.metrics import macro_auroc
from training.run.checkpoint import RunFolder
from training.run.environment import choose_device, describe_environment, uses_bfloat16
from training.run.history import Epoch, finished, kept_epoch
from training.run.progress import Journal

_CLIP: Final = 5.0
_JUDGED_AT_ONCE: Final = 64


class Diverged(NeumoError):
    """The loss is no longer a number."""

    code = "training_diverged"
    title = Text("The training diverged", "El entrenamiento ha divergido")
    advice = Text(
        "The loss is no longer a number in epoch {epoch}. Give a smaller --learning-rate.",
        "La pérdida ya no es un número en la época {epoch}. Indique un --learning-rate menor.",
    )


def fit(
    config: Config,
    train: ImageSet,
    validation: ImageSet,
    *,
    resume: bool = False,
    watch: Callable[[Sequence[Epoch]], None] | None = None,
) -> list[Epoch]:
    """Train, leaving weights, history and curves in the run folder; return the history.

    Epochs are judged by those images of validation that have one label each.

    With `resume`, go on after the last whole epoch: the result is that of a run that was never
    stopped, to the bit on the same processor with as many threads.

    Where several ranks have joined, each calls this with the same; the first one writes.

    Parameters
    ----------
    watch : is given the history after each epoch; what it raises ends the run

    Raises
    ------
    RunMissing, RunDiffers
        If there is nothing to resume, or it was started with other settings or images.
    RanksDiffer
        If the ranks were not given the same.
    Diverged
        If the loss is no longer a number.
    """
    folder, ranks = RunFolder(config), this_rank()
    trainer = Trainer(config, train)
    images = digest_images(train, validation)
    ranks.agree(_describe(config, images))
    judged = validation.singly()
    if resume:
        state = ranks.share_state(folder.resume)
        folder.check_images(images, state)
        history = trainer.restore(state)
        if history and ranks.first:
            folder.write_history(history)  # the run may have been stopped before it did
    else:
        history = []
        if ranks.first:
            folder.start(describe_environment(config))
            folder.save(trainer.state(history) | {"images": images})
    if not finished(history, config):
        trainer.teachers = [_train_teacher(each, train, validation) for each in config.as_teachers]
    with ExitStack() as stack:
        meter = stack.enter_context(trainer.meter(history))
        journal = (
            stack.enter_context(closing(Journal(folder.path, history))) if ranks.first else None
        )
        while not finished(history, config):
            started = time.monotonic()
            side_px = _side_px(config, len(history))
            loss = trainer.train_one_epoch(len(history) + 1, side_px, meter)
            logits = trainer.answer(shrink(judged.images, side_px))
            seconds = time.monotonic() - started
            rate = trainer.learning_rate
            history.append(
                _summarise(len(history) + 1, side_px, rate, loss, logits, judged.labels, seconds)
            )
            if journal is not None:
                if kept_epoch(history, config.keep) is history[-1]:
                    folder.save_best(trainer.result.resnet.state_dict())
                folder.save(trainer.state(history) | {"images": images})
                folder.write_history(history)
                journal.write(history, meter)
            if watch is not None:
                watch(history)
    return history


class Trainer:
    """Everything that changes during a run, so that all of it can be saved and restored."""

    def __init__(self, config: Config, train: ImageSet) -> None:
        torch.manual_seed(config.seed)
        torch.backends.cudnn.deterministic = True
        self._config = config
        self._train = train
        self._ranks = this_rank()
        self._device = choose_device()
        self._generator = torch.Generator(self._device).manual_seed(config.seed)
        self._model = place(build_model(config), self._device)
        if self._ranks.size > 1:
            share_norms(self._model)
        self._averaged = average_weights(self._model, config.ema_decay)
        self._optimiser = torch.optim.AdamW(parameter_groups(self._model, config))
        self._sampler = group_samples(train.samples, config)
        steps = config.epochs * len(_batches(torch.arange(self._sampler.count), config))
        self._schedule = torch.optim.lr_scheduler.LambdaLR(
            self._optimiser, warmup_cosine(config, steps)
        )
        self._targets = torch.from_numpy(train.targets).to(self._device)
        self._label_weights = weigh_labels(train.singly().labels, config).to(self._device)
        self._bundle = find_teacher(config, [sample.source for sample in train.samples])
        self._shrunk = train.images
        self.teachers: Sequence[GreyResNet] = ()
        """Networks whose mean probabilities are learned instead of the labels."""

    @property
    def result(self) -> GreyResNet:
        """The network to measure and keep: the averaged one, if weights are averaged."""
        if self._averaged is None:
            return self._model
        return cast("GreyResNet", self._averaged.module)

    @property
    def learning_rate(self) -> float:
        """Of the backbone (finetune) or the head (frozen), now."""
        return float(self._schedule.get_last_lr()[0])

    def answer(self, images: NDArray[np.uint8]) -> Tensor:
        """Return logits of `result`, float32 [N, 4], for uint8 images [N, 1, H, W].

        The ranks share them out in the batches that one would make.
        """
        batches = self._ranks.part(math.ceil(len(images) / _JUDGED_AT_ONCE))
        own = slice(batches.start * _JUDGED_AT_ONCE, batches.stop * _JUDGED_AT_ONCE)
        logits = torch.zeros(len(images), len(LABELS))
        if batches.start < batches.stop:
            logits[own] = predict(self.result, images[own], self._config)
        return self._ranks.sum(logits)

    def state(self, history: Sequence[Epoch]) -> dict[str, Any]:
        """Return all that `restore` needs."""
        return {
            "model": self._model.state_dict(),
            "averaged": self._averaged.state_dict() if self._averaged else None,
            "optimiser": self._optimiser.state_dict(),
            "schedule": self._schedule.state_dict(),
            "generator": self._generator.get_state(),
            "history": [asdict(epoch) for epoch in history],
        }

    def restore(self, state: dict[str, Any]) -> list[Epoch]:
        """Take up a saved state; return the history up to there."""
        self._model.load_state_dict(state["model"])
        if self._averaged:
            self._averaged.load_state_dict(state["averaged"])
        self._optimiser.load_state_dict(state["optimiser"])
        self._schedule.load_state_dict(state["schedule"])
        self._generator.set_state(state["generator"])
        return [Epoch(**line) for line in state["history"]]

    def meter(self, history: Sequence[Epoch]) -> Meter:
        """Return what counts the batches of all epochs, those of the history done."""
        batches = len(_batches(torch.arange(self._sampler.count), self._config))
        done = len(history) * batches
        return Meter(self._config.name, self._config.epochs * batches, "batch", done=done)

    def train_one_epoch(self, number: int, side_px: int, meter: Meter) -> float:
        """Pass over the images of one epoch; return the mean loss."""
        set_training_mode(self._model, self._config.strategy)
        pixels = self._shrink(side_px)
        batches = _batches(self._sampler.draw(self._generator), self._config)
        title = f"{self._config.name}, epoch {number} of {self._config.epochs}"
        total = 0.0
        for done, batch in enumerate(batches, start=1):
            picked = torch.from_numpy(pixels[batch.numpy()]).to(self._device)
            images = augment(
                picked, self._generator, self._config.augmentation, self._config.augmented_share
            )
            images = mix_amplitudes(images, self._generator, self._config.amplitude_mixing)
            total += self._step(images, batch)
            if not math.isfinite(total):
                raise Diverged(epoch=str(number))
            meter.step(f"loss {total / done:.3f}, rate {self.learning_rate:.1e}", title)
        return total / len(batches)

    def _shrink(self, side_px: int) -> NDArray[np.uint8]:
        """Return the training images at a side, kept for the epochs to come."""
        if self._shrunk.shape[-1] != side_px:
            self._shrunk = shrink(self._train.images, side_px)
        return self._shrunk

    def _step(self, images: Tensor, rows: Tensor) -> float:
        """Learn from changed images, float32 [N, 1, H, W], of these rows of the training set.

        In batches of `batch_size` at most, each shared out among the ranks.
        """
        whole = weigh_images(self._targets[rows.to(self._device)], self._label_weights).sum()
        parts = cut(len(rows), math.ceil(len(rows) / self._config.batch_size))
        loss = torch.zeros((), device=self._device)
        self._optimiser.zero_grad(set_to_none=True)
        for part in parts:
            own = self._ranks.part(part.stop - part.start)
            own = slice(part.start + own.start, part.start + own.stop)
            learned = self._lose(images[own], rows[own], len(rows), whole)
            learned.backward()  # type: ignore[no-untyped-call]
            loss += learned.detach()
        self._ranks.sum_gradients(self._model.parameters())
        loss = self._ranks.sum(loss)
        nn.utils.clip_grad_norm_(self._model.parameters(), _CLIP)
        self._optimiser.step()
        self._schedule.step()
        if self._averaged:
            self._averaged.update_parameters(self._model)
        return float(loss)

    def _lose(self, images: Tensor, rows: Tensor, count: int, whole: Tensor) -> Tensor:
        """Return what some images of a batch add to its loss.

        Parameters
        ----------
        count : images of the batch, `whole` their weight
        """
        with autocast(self._config, self._device):
            logits = self._model(images.contiguous(memory_format=torch.channels_last)).float()
        if self.teachers:
            told = self._ask_teachers(images)
            if len(rows) == count:
                return F.cross_entropy(logits, told)
            return F.cross_entropy(logits, told, reduction="sum") / count
        losses = label_losses(
            logits,
            self._targets[rows.to(self._device)],
            self._label_weights,
            self._config.label_smoothing,
            whole,
        )
        if self._bundle:
            losses = self._bundle.mix(losses, logits, images, rows, count)
        return losses.sum()

    @torch.no_grad()
    def _ask_teachers(self, images: Tensor) -> Tensor:
        """Return the teachers' mean probabilities, [N, 4], for the very images that are learned."""
        with autocast(self._config, self._device):
            told = [teacher(images).float().softmax(1) for teacher in self.teachers]
        return torch.stack(told).mean(0)


def load_best(config: Config) -> GreyResNet:
    """Return the best checkpoint of a run, on the CPU, in evaluation mode.

    Raises
    ------
    RunMissing
        If there is none.
    """
    weights = this_rank().share_state(RunFolder(config).load_best)
    model = build_model(config.model_copy(update={"weights": "random"}))
    model.resnet.load_state_dict(weights)
    return model.eval()


def _train_teacher(config: Config, train: ImageSet, validation: ImageSet) -> GreyResNet:
    """Train one teacher, or go on with it; return it on the device, in evaluation mode."""
    begun = this_rank().share(lambda: bytes([(config.run_folder / "last.pt").exists()]))
    fit(config, train, validation, resume=begun == b"\1")
    return place(load_best(config), choose_device())


def _side_px(config: Config, epochs_done: int) -> int:
    return config.small_side_px if epochs_done < config.small_epochs else config.side_px


def _batches(order: Tensor, config: Config) -> list[Tensor]:
    """Cut an epoch's order into an optimiser's steps; a last one of one has no batch statistics."""
    step = config.batch_size * config.accumulate
    return [batch for batch in torch.split(order, step) if len(batch) > 1]


def _describe(config: Config, images: str) -> dict[str, str]:
    """Return what has to be the same on every rank."""
    paths = {"data", "root", "weights", "out", "runs", "holdout", "teacher_bundle"}
    return {
        "images": images,
        "settings": config.model_dump_json(exclude=paths),
        "bfloat16": str(uses_bfloat16(config.precision, choose_device())),
        "torch": torch.__version__,
    }


def _summarise(
    number: int,
    side_px: int,
    learning_rate: float,
    train_loss: float,
    logits: Tensor,
    labels: NDArray[np.int64],
    seconds: float,
) -> Epoch:
    truth = torch.from_numpy(labels)
    return Epoch(
        epoch=number,
        side_px=side_px,
        learning_rate=learning_rate,
        train_loss=train_loss,
        validation_loss=float(F.cross_entropy(logits, truth)),
        validation_accuracy=float((logits.argmax(1) == truth).float().mean()),
        validation_macro_auroc=macro_auroc(labels, logits.softmax(1).numpy()),
        seconds=seconds,
    )
