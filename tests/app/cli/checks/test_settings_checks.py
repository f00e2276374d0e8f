"""app.cli.checks.settings_checks: what can't be meant."""

import pytest

from app.cli.checks import settings_checks
from app.cli.checks.settings_checks import check_settings
from app.settings.settings import Settings


@pytest.fixture(autouse=True)
def two_cpus(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(settings_checks, "count_cpus", lambda: 2)
    monkeypatch.setattr("app.settings.settings.count_cpus", lambda: 2)


def test_the_names_of_what_is_set_are_told_and_no_values() -> None:
    (found,) = check_settings(Settings(root_path="/secret", port=8001), {})
    assert (found.level, found.text) == ("ok", "set: NEUMO_PORT, NEUMO_ROOT_PATH")


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"max_body_bytes": 2**29}, "NEUMO_MAX_BODY_BYTES is more than NEUMO_MAX_HELD_BYTES"),
        ({"max_held_bytes": 2**26}, "NEUMO_MAX_BATCH_BODY_BYTES is more than NEUMO_MAX_HELD_BYTES"),
        ({"deadline_s": 20}, "NEUMO_DEADLINE_S is more than NEUMO_WORKER_TIMEOUT_S"),
        ({"workers": 3}, "3 worker(s)"),
        ({"threads": 64, "workers": 1}, "64 images each"),
    ],
)
def test_settings_that_contradict_each_other_are_told_with_what_to_do(
    settings: dict[str, int], told: str
) -> None:
    found = check_settings(Settings(**settings), {})  # type: ignore[arg-type]
    assert [each.level for each in found] == ["warn"] * len(found)
    assert any(told in each.text for each in found)
    assert all(each.advice for each in found)


def test_a_variable_that_is_no_setting_is_told() -> None:
    (found,) = check_settings(Settings(), {"NEUMO_DEADLINE": "3"})
    assert (found.level, found.text) == (
        "warn", "NEUMO_DEADLINE is no setting, did you mean NEUMO_DEADLINE_S?"
    )  # fmt: skip
