"""A service of a test's own words, inside the client: no network, no waiting."""

from collections.abc import Callable

import httpx
import pytest

from neumo_client import Client, Retries

Answering = Callable[[httpx.Request], httpx.Response]
AT_ONCE = Retries(most=3, first_s=0.0, longest_s=0.0)


def client_of(*answers: httpx.Response | Exception, retries: Retries = AT_ONCE) -> Client:
    """Return a client that is answered by these, one after the other, and no more."""
    waiting = iter(answers)

    def answer(_: httpx.Request) -> httpx.Response:
        each = next(waiting, None)
        if each is None:
            pytest.fail("one call more than was expected")
        if isinstance(each, Exception):
            raise each
        return each

    return client_by(answer, retries=retries)


def client_by(answer: Answering, retries: Retries = AT_ONCE) -> Client:
    """Return a client that is answered by a function."""
    return Client("http://neumo.test", transport=httpx.MockTransport(answer), retries=retries)
