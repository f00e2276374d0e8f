"""The processes that train one network together, as ``torchrun`` numbers them: ranks.

Every rank draws the same images and changes them alike, then passes its part of each batch through
its copy of the network; gradients and batch statistics are summed over all ranks. So the result is
that of one process, but for the order of sums. Only the first rank writes.
"""

import hashlib
import io
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from itertools import pairwise
from typing import Any, Final

import torch
from torch import Tensor
from torch import distributed as dist
from torch.nn import Parameter

from app.errors import NeumoError
from app.language import Text

_VARIABLES: Final = ("RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")
_GONE: Final = ("gloo", "Connection", "Timed out", "Broken pipe", "NCCL")


class RankLost(NeumoError):
    """Another process of the training ended, or doesn't answer."""

    code = "rank_lost"
    title = Text("A process of the training is gone", "Falta un proceso del entrenamiento")
    advice = Text(
        "Rank {rank}: another process of this training ended, or was silent for longer than "
        "--peer-timeout. What it said stands above, or on its machine. Start all of them again "
        "with --resume: the training goes on after the last whole epoch.",
        "Proceso {rank}: otro proceso de este entrenamiento ha terminado o ha callado más de lo "
        "que permite --peer-timeout. Lo que dijo consta arriba, o en su máquina. Inícielos todos "
        "de nuevo con --resume: el entrenamiento sigue tras la última época completa.",
    )


class RanksDiffer(NeumoError):
    """The processes of one training were not given the same."""

    code = "ranks_differ"
    title = Text("The processes differ", "Los procesos difieren")
    advice = Text(
        "The processes of this training differ in: {names}. Give all of them the same command, "
        "images and versions.",
        "Los procesos de este entrenamiento difieren en: {names}. Déles a todos la misma orden, "
        "las mismas imágenes y las mismas versiones.",
    )


class TooFewDevices(NeumoError):
    """There are more processes on a machine than it has GPUs."""

    code = "too_few_devices"
    title = Text("There are too few GPUs", "Faltan GPU")
    advice = Text(
        "{processes} processes were started here, for {devices} GPU(s). Give torchrun "
        "--nproc-per-node {devices}, or hide the GPUs: CUDA_VISIBLE_DEVICES=''.",
        "Se han iniciado aquí {processes} procesos para {devices} GPU. Indique a torchrun "
        "--nproc-per-node {devices}, u oculte las GPU: CUDA_VISIBLE_DEVICES=''.",
    )


@dataclass(frozen=True, slots=True)
class Ranks:
    """A process among those of its training: `rank` of `size`; alone, the first of one."""

    rank: int = 0
    size: int = 1

    @property
    def first(self) -> bool:
        """Whether it is the one that writes."""
        return self.rank == 0

    def part(self, count: int) -> slice:
        """Return this rank's part of `count` things: none, where there are fewer than ranks."""
        return cut(count, self.size)[self.rank]

    def sum(self, values: Tensor) -> Tensor:
        """Return the sum of all ranks' values, the same on each, on the device they came on."""
        if self.size == 1:
            return values
        summed = values.detach().to(_device(), copy=True)
        dist.all_reduce(summed)
        return summed.to(values.device)

    def sum_gradients(self, parameters: Iterable[Parameter]) -> None:
        """Sum the gradients of all ranks, in one go: in the same order each time, to the bit."""
        gradients = [each.grad for each in parameters if each.grad is not None]
        if self.size == 1 or not gradients:
            return
        summed = self.sum(torch.cat([each.flatten() for each in gradients]))
        parts = torch.split(summed, [each.numel() for each in gradients])
        for gradient, part in zip(gradients, parts, strict=True):
            gradient.copy_(part.view(gradient.shape))

    def gather(self, values: Tensor) -> Tensor:
        """Return [size, ...]: every rank's values."""
        slots = torch.zeros((self.size, *values.shape), dtype=values.dtype, device=values.device)
        slots[self.rank] = values.detach()
        return self.sum(slots)  # gloo and NCCL both can; zeros change no bit

    def share(self, make: Callable[[], bytes]) -> bytes:
        """Return what the first rank makes, on every rank.

        Raises
        ------
        Whatever `make` does, on the first rank; `RankLost` on the others then.
        """
        if self.size == 1:
            return make()
        content, failed = b"", None
        if self.first:
            try:
                content = make()
            except NeumoError as error:
                failed = error
        length = torch.tensor(-1 if failed else len(content), device=_device())
        dist.broadcast(length, 0)
        if failed:
            raise failed
        if length < 0:
            raise RankLost(rank=str(self.rank))
        told = torch.empty(int(length), dtype=torch.uint8, device=_device())
        if self.first:
            told.copy_(torch.frombuffer(bytearray(content), dtype=torch.uint8))
        dist.broadcast(told, 0)
        return told.cpu().numpy().tobytes()

    def share_state(self, read: Callable[[], dict[str, Any]]) -> dict[str, Any]:
        """Return what the first rank reads from its disk: tensors, and plain values."""
        if self.size == 1:
            return read()

        def write() -> bytes:
            buffer = io.BytesIO()
            torch.save(read(), buffer)
            return buffer.getvalue()

        content = io.BytesIO(self.share(write))
        state: dict[str, Any] = torch.load(content, map_location="cpu", weights_only=True)
        return state

    def agree(self, told: Mapping[str, str]) -> None:
        """Make sure that all ranks tell the same.

        Raises
        ------
        RanksDiffer
            Naming what differs.
        """
        digests = [hashlib.sha256(text.encode()).digest()[:7] for text in told.values()]
        own = torch.tensor([int.from_bytes(digest, "big") for digest in digests])
        differ = (self.gather(own) != own).any(0).tolist()
        names = [name for name, other in zip(told, differ, strict=True) if other]
        # A rank that alone differs sees it too: its row is not the others'.
        if names:
            raise RanksDiffer(names=", ".join(names))


def this_rank() -> Ranks:
    """Return this process among those it has joined; alone, if none."""
    if dist.is_available() and dist.is_initialized():
        return Ranks(dist.get_rank(), dist.get_world_size())
    return Ranks()


def started_together(environment: Mapping[str, str] = os.environ) -> Ranks:
    """Return what ``torchrun`` (or a cluster's operator) says this process is, joined or not."""
    if not all(environment.get(name) for name in _VARIABLES):
        return Ranks()
    return Ranks(int(environment["RANK"]), int(environment["WORLD_SIZE"]))


@contextmanager
def join_ranks(silence_s: float) -> Iterator[Ranks]:
    """Join the processes that ``torchrun`` started, if it did; leave them at the end.

    NCCL on GPUs, a device a process; else gloo.

    Parameters
    ----------
    silence_s : how long to wait for another process in any step

    Raises
    ------
    TooFewDevices
        If there are more processes than GPUs.
    RankLost
        If another process ends, or is silent so long.
    """
    ranks = started_together()
    if ranks.size == 1:
        yield ranks
        return
    if torch.cuda.is_available():
        _take_device()
    backend = "nccl" if torch.cuda.is_available() else "gloo"
    try:
        dist.init_process_group(backend, timeout=timedelta(seconds=silence_s))
        yield ranks
    except RuntimeError as error:  # what gloo raises has no class of its own
        if isinstance(error, dist.DistError) or any(word in str(error) for word in _GONE):
            raise RankLost(rank=str(ranks.rank)) from error
        raise
    finally:
        if dist.is_initialized():
            dist.destroy_process_group()


def cut(count: int, parts: int) -> list[slice]:
    """Cut `count` things into parts in order, the first ones larger by one where it must be."""
    size, larger = divmod(count, parts)
    ends = [number * size + min(number, larger) for number in range(parts + 1)]
    return [slice(*pair) for pair in pairwise(ends)]


def _take_device() -> None:
    """Make the GPU of this process's number on its machine the current one."""
    number, count = int(os.environ.get("LOCAL_RANK", "0")), torch.cuda.device_count()
    if number >= count:
        processes = os.environ.get("LOCAL_WORLD_SIZE", str(number + 1))
        raise TooFewDevices(processes=processes, devices=str(count))
    torch.cuda.set_device(number)


def _device() -> torch.device:
    """Return where tensors have to lie to be sent."""
    return torch.device("cuda" if dist.get_backend() == "nccl" else "cpu")
