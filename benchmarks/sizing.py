"""From films a day to cores, memory, network and money."""

import math
from dataclasses import dataclass
from typing import Final

from benchmarks.queueing import queue_of

TARGET_LOAD: Final = 0.6
"""Of the cores, in the busiest hour: what deploy/kubernetes' autoscaler aims at."""
CORES_A_REPLICA: Final = 2
GIB_A_REPLICA: Final = 2
LEAST_REPLICAS: Final = 2
DOLLARS_A_CORE_HOUR: Final = 0.04
"""With its memory: an assumption, which every sum of money is proportional to."""
_HOUR_S: Final = 3600
_MILLION: Final = 1_000_000


@dataclass(frozen=True, slots=True)
class Film:
    """A kind of film: its size, and the CPU that it takes."""

    name: str
    bytes: float
    service_ms: float


@dataclass(frozen=True, slots=True)
class Demand:
    """How many films come, and which share of a day's in the busiest hour."""

    name: str
    films_a_day: float
    busiest_hour: float

    @property
    def per_s(self) -> float:
        """Films a second in the busiest hour."""
        return self.films_a_day * self.busiest_hour / _HOUR_S


DEMANDS: Final = (
    Demand("clinic: 200 a day", 200, 0.2),
    Demand("hospital: 2,000 a day", 2_000, 0.15),
    Demand("city: 50,000 a day", 50_000, 0.15),
    Demand("country: 10 million in a week", 10_000_000 / 7, 1 / 24),  # evenly, day and night
)


@dataclass(frozen=True, slots=True)
class Need:
    """What a demand needs."""

    per_s: float
    busy_cores: float
    replicas: int
    p95_ms: float
    mbit_per_s: float
    dollars_a_day: float

    @property
    def cores(self) -> int:
        """CPUs to be had."""
        return self.replicas * CORES_A_REPLICA

    @property
    def memory_gib(self) -> int:
        """Memory to be had."""
        return self.replicas * GIB_A_REPLICA


def size(demand: Demand, film: Film) -> Need:
    """Work out what a demand needs if all of its replicas are kept all day.

    An answer's time is that of one replica which gets its share of the films at random.
    """
    service_s = film.service_ms / 1000
    a_replica = TARGET_LOAD * CORES_A_REPLICA / service_s
    replicas = max(LEAST_REPLICAS, math.ceil(demand.per_s / a_replica))
    queue = queue_of(CORES_A_REPLICA, demand.per_s / replicas, service_s, shared=True)
    core_hours = replicas * CORES_A_REPLICA * 24
    return Need(
        per_s=demand.per_s,
        busy_cores=demand.per_s * service_s,
        replicas=replicas,
        p95_ms=(service_s + queue.wait_quantile_s(0.95)) * 1000,
        mbit_per_s=demand.per_s * film.bytes * 8 / _MILLION,
        dollars_a_day=core_hours * DOLLARS_A_CORE_HOUR,
    )


def dollars_a_million(film: Film, load: float = TARGET_LOAD) -> float:
    """Return what a million films cost where replicas come and go with them."""
    return _MILLION * film.service_ms / 1000 / _HOUR_S / load * DOLLARS_A_CORE_HOUR


def per_s_of_core(film: Film, load: float = TARGET_LOAD) -> float:
    """Return how many films a second one core reads at a load."""
    return load * 1000 / film.service_ms
