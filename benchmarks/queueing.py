"""How long films wait for a core: queues of Poisson arrivals, by the textbooks' formulas.

`rate_per_s` is of arrivals, `service_s` the mean time that one takes a server, `servers` how many
serve at once; load = rate_per_s * service_s / servers, and has to be below 1.

References
----------
A. K. Erlang, "Solution of some problems in the theory of probabilities", 1917.
G. J. Franx, "A simple solution for the M/D/c waiting time distribution", Operations Research
Letters 29, 2001.
F. P. Kelly, "Reversibility and stochastic networks", 1979, section 3.3: where servers are shared
equally, the mean depends on the mean of the service time alone.
"""

import math
from collections import deque
from collections.abc import Sequence
from functools import cached_property
from typing import Final, Protocol

import numpy as np
from numpy.typing import NDArray

_TAIL: Final = 1e-9
"""Probability that may be cut off an endless queue."""
_PLAYED: Final = 200_000
"""Arrivals that are played out where there is no formula."""


class Overload(ValueError):
    """More comes than is served: the queue grows without end."""


def erlang_c(servers: int, offered: float) -> float:
    """Return the probability that an arrival waits, service times being exponential (M/M/c).

    Parameters
    ----------
    offered : rate times service time, in erlangs
    """
    _check(offered / servers)
    blocked = 1.0  # Erlang B, which a recursion gives without large numbers
    for number in range(1, servers + 1):
        blocked = offered * blocked / (number + offered * blocked)
    return blocked / (1 - offered / servers * (1 - blocked))


def exponential_wait_s(servers: int, rate_per_s: float, service_s: float) -> float:
    """Return the mean wait of M/M/c."""
    offered = rate_per_s * service_s
    return erlang_c(servers, offered) * service_s / (servers - offered)


class Queue(Protocol):
    """A queue for which films wait."""

    @property
    def mean_wait_s(self) -> float:
        """What an answer takes beyond its service, on average."""

    def mean_beyond(self, places: int) -> float:
        """Return how many there are on average beyond the first `places`, one a server at least."""

    def wait_quantile_s(self, share: float) -> float:
        """Return the wait that `share` of all arrivals do not exceed."""


class ConstantService:
    """M/D/c: every film takes as long as every other, first come, first served.

    Within `service_s` all that were being served leave, and what came meanwhile is there: so the
    number in the system is a Markov chain from one such step to the next.
    """

    def __init__(self, servers: int, rate_per_s: float, service_s: float) -> None:
        self._servers = servers
        self._rate_per_s = rate_per_s
        self._service_s = service_s
        load = rate_per_s * service_s / servers
        _check(load)
        # The queue's tail falls at least as fast as that of M/M/c.
        states = 2 * servers + math.ceil(math.log(_TAIL) / math.log(load)) + 20
        self._states = _stationary(servers, rate_per_s * service_s, states)

    @property
    def mean_wait_s(self) -> float:
        """Mean wait, by Little's law."""
        return self.mean_beyond(self._servers) / self._rate_per_s

    def mean_beyond(self, places: int) -> float:
        """Return how many there are on average beyond the first `places`, served or not."""
        beyond = np.maximum(0, np.arange(len(self._states)) - places)
        return float(beyond @ self._states)

    def waits_at_most(self, wait_s: float) -> float:
        """Return the probability that an arrival waits no longer than `wait_s`."""
        steps = math.floor(wait_s / self._service_s) + 1
        mean = self._rate_per_s * (steps * self._service_s - wait_s)
        queues = np.cumsum(self._states)[self._servers :]  # that at most j wait
        most = steps * self._servers - 1
        at_most = np.pad(queues, (0, max(0, most + 1 - len(queues))), mode="edge")[: most + 1]
        return float(_poisson(mean, most + 1) @ at_most[::-1])

    def wait_quantile_s(self, share: float) -> float:
        """Return the wait that `share` of all arrivals do not exceed; 0 if so many do not wait."""
        low, high = 0.0, self._service_s
        if self.waits_at_most(0) >= share:
            return 0.0
        while self.waits_at_most(high) < share:
            high *= 2
        for _ in range(40):
            middle = (low + high) / 2
            low, high = (middle, high) if self.waits_at_most(middle) < share else (low, middle)
        return high


class SharedService:
    """M/D/c whose servers are shared: all films that are there are worked on, equally fast.

    With n films on c servers each goes on at a speed of min(1, c / n). Means are exact, and those
    of M/M/c; quantiles are those of 200,000 arrivals that are played out.
    """

    def __init__(self, servers: int, rate_per_s: float, service_s: float) -> None:
        _check(rate_per_s * service_s / servers)
        self._servers = servers
        self._rate_per_s = rate_per_s
        self._service_s = service_s

    @property
    def mean_wait_s(self) -> float:
        """Mean of what an answer takes beyond its service."""
        return exponential_wait_s(self._servers, self._rate_per_s, self._service_s)

    def mean_beyond(self, places: int) -> float:
        """Return how many there are on average beyond the first `places`, one a server at least."""
        offered = self._rate_per_s * self._service_s
        load = offered / self._servers
        # Each place more is taken `load` times as often as the one before.
        waits = erlang_c(self._servers, offered) * load ** (places - self._servers)
        return waits * load / (1 - load)

    def wait_quantile_s(self, share: float) -> float:
        """Return what `share` of all answers take beyond their service at the most."""
        return float(np.quantile(self._waits, share))

    @cached_property
    def _waits(self) -> NDArray[np.float64]:
        gaps = np.random.default_rng(0).exponential(1 / self._rate_per_s, _PLAYED)
        return replay_shared(np.cumsum(gaps).tolist(), self._service_s, self._servers)


def queue_of(servers: int, rate_per_s: float, service_s: float, *, shared: bool) -> Queue:
    """Return the queue of servers that are shared, or that serve whoever came first."""
    return (SharedService if shared else ConstantService)(servers, rate_per_s, service_s)


def replay_shared(
    arrivals_s: Sequence[float], service_s: float, servers: int
) -> NDArray[np.float64]:
    """Return what these very arrivals take beyond their service, servers being shared equally.

    All need as much, so they leave in the order in which they came: when the work that is done on
    one that was always there has grown by `service_s` since.
    """
    waits = np.empty(len(arrivals_s))
    there: deque[tuple[int, float]] = deque()  # number, and the work at which it leaves
    now_s = work_s = 0.0

    def leave_until(end_s: float) -> None:
        nonlocal now_s, work_s
        while there:
            number, leaves_s = there[0]
            speed = min(1.0, servers / len(there))
            gone_s = now_s + (leaves_s - work_s) / speed
            if gone_s > end_s:
                work_s += (end_s - now_s) * speed
                break
            now_s, work_s = gone_s, leaves_s
            waits[number] = gone_s - arrivals_s[number] - service_s
            there.popleft()
        now_s = end_s

    for number, arrival_s in enumerate(arrivals_s):
        leave_until(arrival_s)
        there.append((number, work_s + service_s))
    leave_until(math.inf)
    return waits


def replay(arrivals_s: Sequence[float], service_s: float, servers: int) -> NDArray[np.float64]:
    """Return the waits of these very arrivals, first come, first served, each taking as long."""
    free_s = [-math.inf] * servers
    waits = np.empty(len(arrivals_s))
    for number, arrival_s in enumerate(arrivals_s):
        next_free = min(range(servers), key=free_s.__getitem__)
        begun_s = max(arrival_s, free_s[next_free])
        free_s[next_free] = begun_s + service_s
        waits[number] = begun_s - arrival_s
    return waits


def _stationary(servers: int, offered: float, states: int) -> NDArray[np.float64]:
    """Solve p_j = sum over k of p_k times the chance of j - max(0, k - servers) arrivals."""
    arrivals = _poisson(offered, states)
    chain = np.zeros((states, states))
    for here in range(states):
        left = max(0, here - servers)
        chain[here, left:] = arrivals[: states - left]
    chain[:, -1] += 1 - chain.sum(axis=1)  # what would be beyond the last state
    equations = chain.T - np.eye(states)
    equations[0] = 1.0
    one = np.zeros(states)
    one[0] = 1.0
    return np.linalg.solve(equations, one)


def _poisson(mean: float, count: int) -> NDArray[np.float64]:
    """Return the probabilities of 0, 1, ... `count` - 1 arrivals."""
    if mean == 0:
        return np.eye(1, count)[0]
    number = np.arange(count)
    logs = number * math.log(mean) - mean - np.array([math.lgamma(each + 1) for each in number])
    return np.asarray(np.exp(logs))


def _check(load: float) -> None:
    if load >= 1:
        raise Overload(f"load is {load:.2f}: more comes than is served")
