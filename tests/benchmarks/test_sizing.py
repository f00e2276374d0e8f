"""From films a day to cores and money: by hand; and docs/scaling.md, which is worked out."""

import json
import re

import pytest
import yaml

from benchmarks import sizing
from benchmarks.queueing import queue_of
from benchmarks.scaling_report import films_of, write_tables
from benchmarks.sizing import Demand, Film, dollars_a_million, per_s_of_core, size
from tests.conftest import ROOT

PAGE = (ROOT / "docs" / "scaling.md").read_text(encoding="utf-8")
RESULTS = json.loads((ROOT / "docs" / "scaling.json").read_text(encoding="utf-8"))
FILM = Film("a film", bytes=500_000, service_ms=12)


def test_a_demand_is_counted_in_its_busiest_hour() -> None:
    assert Demand("a", 7200, 0.5).per_s == 1
    assert Demand("a", 86_400, 1 / 24).per_s == 1


def test_cores_are_bought_for_the_target_load_and_two_replicas_at_the_least() -> None:
    # 0.6 x 2 cores / 12 ms = 100 films a second a replica.
    assert size(Demand("a", 86_400, 1 / 24), FILM).replicas == 2
    need = size(Demand("a", 86_400 * 950, 1 / 24), FILM)
    assert (need.replicas, need.cores, need.memory_gib) == (10, 20, 20)
    assert need.mbit_per_s == pytest.approx(950 * 4)
    assert need.busy_cores == pytest.approx(950 * 0.012)


def test_money_is_core_hours_times_their_price() -> None:
    # 10^6 x 12 ms = 12,000 s = 10/3 core-hours; at a load of 0.6 they are 50/9.
    assert dollars_a_million(FILM) == pytest.approx(50 / 9 * 0.04)
    assert dollars_a_million(FILM, load=1) == pytest.approx(10 / 3 * 0.04)
    # Two replicas kept all day: 96 core-hours.
    assert size(Demand("a", 200, 0.2), FILM).dollars_a_day == pytest.approx(96 * 0.04)


def test_a_core_reads_its_share_of_a_second() -> None:
    assert per_s_of_core(FILM) == pytest.approx(50)
    assert per_s_of_core(FILM, load=1) == pytest.approx(1000 / 12)


def test_a_lone_film_is_answered_in_the_time_that_it_takes() -> None:
    assert size(Demand("a", 200, 0.2), FILM).p95_ms == pytest.approx(12)


def test_the_pages_tables_are_worked_out_from_its_figures() -> None:
    assert len(re.findall(r"<!-- from scaling\.json: \w+ -->", PAGE)) == 6
    assert write_tables(PAGE, RESULTS) == PAGE
    assert write_tables(PAGE.replace("films a second", "films an hour"), RESULTS) != PAGE


def test_a_replica_is_what_the_manifests_say() -> None:
    folder = ROOT / "deploy" / "kubernetes" / "base"
    deployment = yaml.safe_load((folder / "deployment.yaml").read_text(encoding="utf-8"))
    (container,) = deployment["spec"]["template"]["spec"]["containers"]
    assert container["resources"]["limits"] == {
        "cpu": str(sizing.CORES_A_REPLICA),
        "memory": f"{sizing.GIB_A_REPLICA}Gi",
    }
    scaler = yaml.safe_load((folder / "autoscaler.yaml").read_text(encoding="utf-8"))["spec"]
    assert scaler["minReplicas"] == sizing.LEAST_REPLICAS
    aim = scaler["metrics"][0]["resource"]["target"]["averageUtilization"]
    assert aim == sizing.TARGET_LOAD * 100


def test_films_wait_for_a_thread_at_the_load_that_the_how_to_names() -> None:
    component = ROOT / "deploy" / "kubernetes" / "components" / "queue-scaling"
    (patch,) = yaml.safe_load((component / "kustomization.yaml").read_text())["patches"]
    target = float(yaml.safe_load(patch["patch"])[0]["value"]["pods"]["target"]["averageValue"])
    cores = sizing.CORES_A_REPLICA
    places = cores * cores  # a worker for each core, and as many threads in each
    how_to = (ROOT / "docs" / "kubernetes.md").read_text(encoding="utf-8")
    between = (
        r"at a load between (\S+) \(films share\s[^)]*\) and (\S+) \(first come, first served\)"
    )
    (loads,) = re.findall(between, how_to)
    for load, shared in zip(loads, (True, False), strict=True):
        low, high = (
            queue_of(cores, (float(load) + by) * cores, 1, shared=shared).mean_beyond(places)
            for by in (-0.005, 0.005)
        )
        assert low < target < high


def test_the_page_says_how_waits_grow_with_the_load_and_with_small_replicas() -> None:
    def waits(cores: int, load: float, *, shared: bool = True) -> float:
        return queue_of(cores, load * cores, 1, shared=shared).mean_wait_s

    page = " ".join(PAGE.split())
    (loads,) = re.findall(r"doubles from a load of (\S+) to (\S+), and again to (\S+)\. The", page)
    before, *after = (float(each) for each in loads)
    for times, load in zip((2, 4), after, strict=True):
        due = times * waits(2, before)
        assert waits(2, load - 0.005) < due < waits(2, load + 0.005)
    alone, two, four = waits(1, 0.6, shared=False), waits(2, 0.6), waits(4, 0.6)
    assert (
        f"at 0.6 one core waits {alone:.2f} of a film's time, two {two:.2f}, four {four:.2f}"
        in page
    )
    two, four = waits(2, 0.6, shared=False), waits(4, 0.6, shared=False)
    assert f"(with `--threads 1`: {two:.2f} and {four:.2f})" in page


def test_the_page_says_what_the_code_assumes() -> None:
    assert f"{sizing.DOLLARS_A_CORE_HOUR} dollars" in PAGE
    assert f"Buy for a load of {sizing.TARGET_LOAD}" in PAGE
    shares = {f"{demand.busiest_hour:.0%}".replace("%", " %") for demand in sizing.DEMANDS[:3]}
    assert shares == {"20 %", "15 %"}
    assert all(share in PAGE for share in shares)


def test_what_was_measured_is_what_was_asked_for() -> None:
    assert [film.service_ms > 0 for film in films_of(RESULTS)] == [True] * 3
    for curve in RESULTS["curves"].values():
        assert len(curve["points"]) == 5
        assert [point["failed"] for point in curve["points"]] == [0] * 5
