"""When a call is made again, and how often: it waits longer each time, and not for ever."""

import logging
import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from neumo_client.errors import NeumoError

_log = logging.getLogger("neumo_client")


@dataclass(frozen=True, slots=True)
class Retries:
    """How often, and for how long, a call is made again that may succeed later.

    That is one answered 429, 502, 503 or 504, or whose connection was lost. To read a film twice
    does no harm. The wait is what ``Retry-After`` says and some, or else doubles from `first_s` to
    `longest_s`; a part of it is random, so that many clients don't come back at once.

    Parameters
    ----------
    most : attempts after the first
    most_s : seconds from the first attempt to the begin of the last
    first_s, longest_s : waits, in seconds
    """

    most: int = 8
    most_s: float = 120.0
    first_s: float = 0.2
    longest_s: float = 8.0


NO_RETRIES: Final = Retries(most=0)


class Attempts:
    """The attempts of one call.

    Parameters
    ----------
    clock, between : of time and chance; tests have their own
    """

    def __init__(
        self,
        retries: Retries,
        clock: Callable[[], float] = time.monotonic,
        between: Callable[[float, float], float] = random.uniform,
    ) -> None:
        self._retries = retries
        self._clock = clock
        self._between = between
        self._begun_s = clock()
        self._made = 0

    def wait_s(self, error: NeumoError) -> float:
        """Return how many seconds to wait after `error` before the next attempt.

        Raises
        ------
        NeumoError
            The error itself, if there is no next attempt.
        """
        rules = self._retries
        if not error.transient or self._made >= rules.most:
            raise error
        longest_s = min(rules.longest_s, rules.first_s * 2.0**self._made)
        if error.retry_after_s is None:
            wait_s = self._between(longest_s / 2, longest_s)
        else:
            wait_s = error.retry_after_s + self._between(0.0, longest_s)
        if self._clock() - self._begun_s + wait_s > rules.most_s:
            raise error
        self._made += 1
        _log.info("attempt %d failed, next in %.2f s: %s", self._made, wait_s, error)
        return wait_s
