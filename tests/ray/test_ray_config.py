"""deploy/ray/neumo.yaml agrees with Neumo's settings."""

from typing import Any

import pytest

from app.settings.settings import Settings
from tests.conftest import ROOT

yaml = pytest.importorskip("yaml")
CONFIG: dict[str, Any] = yaml.safe_load((ROOT / "deploy" / "ray" / "neumo.yaml").read_text())
(DEPLOYMENT,) = CONFIG["applications"][0]["deployments"]
ENVIRONMENT: dict[str, str] = DEPLOYMENT["ray_actor_options"]["runtime_env"]["env_vars"]
LEAST_FILM_S = 0.005
"""A film takes a CPU at least so long."""


def test_times_are_those_of_the_settings() -> None:
    settings = Settings()
    assert CONFIG["http_options"]["keep_alive_timeout_s"] == settings.keep_alive_s
    assert DEPLOYMENT["health_check_timeout_s"] == settings.worker_timeout_s
    assert (
        DEPLOYMENT["graceful_shutdown_timeout_s"]
        == settings.drain_delay_s + settings.shutdown_grace_s
    )
    assert CONFIG["http_options"]["request_timeout_s"] > settings.deadline_s


def test_what_is_set_is_a_setting_and_where_the_proxy_listens_a_replica_knows() -> None:
    names = {name.removeprefix("NEUMO_").lower() for name in ENVIRONMENT}
    assert names <= set(Settings.model_fields)
    assert ENVIRONMENT["NEUMO_HOST"] == CONFIG["http_options"]["host"] == "127.0.0.1"
    assert int(ENVIRONMENT["NEUMO_THREADS"]) == DEPLOYMENT["ray_actor_options"]["num_cpus"]
    assert ENVIRONMENT["NEUMO_MODEL"] == Settings.model_fields["model"].default


def test_a_replica_refuses_what_is_too_much_before_the_proxy_does() -> None:
    lets_in_s = Settings().deadline_s / 2  # as app.service.admission does
    assert DEPLOYMENT["max_ongoing_requests"] * LEAST_FILM_S > lets_in_s
    assert DEPLOYMENT["autoscaling_config"]["target_ongoing_requests"] * LEAST_FILM_S < lets_in_s
