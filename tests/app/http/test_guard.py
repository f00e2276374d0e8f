"""Who calls."""

from app.access.caller import SCOPES
from app.http.front.guard import caller_of


def test_where_no_key_is_asked_for_anyone_may_do_all_and_has_no_name() -> None:
    caller = caller_of({"type": "http"})
    assert caller.name == ""
    assert caller.scopes == set(SCOPES)
