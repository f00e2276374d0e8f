"""Flow control of one connection: when to read, and how long to wait for a client that doesn't."""

import asyncio
from typing import Final

_MOST_LOOKS: Final = 30  # a client that takes a byte at each would keep its answer otherwise


class Flow:
    """Pauses reading, and answers that the client doesn't take.

    Parameters
    ----------
    write_timeout_s : for the client to take some of what is written; then the connection ends

    Attributes
    ----------
    reading : whether what comes is read
    """

    def __init__(
        self, transport: asyncio.Transport, loop: asyncio.AbstractEventLoop, write_timeout_s: float
    ) -> None:
        self._transport = transport
        self._loop = loop
        self._write_timeout_s = write_timeout_s
        self.reading = True
        self._writable = asyncio.Event()
        self._writable.set()
        self._timer: asyncio.TimerHandle | None = None

    @property
    def write_paused(self) -> bool:
        """Whether more is written than the client has room for."""
        return not self._writable.is_set()

    def read(self, *, wanted: bool) -> None:
        """Read on, or leave what comes in the kernel, which slows the client down."""
        if wanted == self.reading or self._transport.is_closing():
            return
        self.reading = wanted
        if wanted:
            self._transport.resume_reading()
        else:
            self._transport.pause_reading()

    def pause_writing(self) -> None:
        """Wait only so long for a client that doesn't read."""
        self._writable.clear()
        self._look_again(self._transport.get_write_buffer_size(), _MOST_LOOKS)

    def _look_again(self, left: int, looks: int) -> None:
        self._timer = self._loop.call_later(self._write_timeout_s, self._look, left, looks)

    def _look(self, before: int, looks: int) -> None:
        """End the connection unless the client took some since the last look."""
        left = self._transport.get_write_buffer_size()
        if left >= before or looks == 0:
            self._transport.abort()
        else:
            self._look_again(left, looks - 1)

    def resume_writing(self) -> None:
        """Write on: the client reads, or is gone."""
        self._writable.set()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    async def writable(self) -> None:
        """Return when there is room for more."""
        await self._writable.wait()
