"""What follows one request through the service, for whoever collects traces.

Without `app.service.tracing` nothing does; the id that a caller's `traceparent` names is taken for
the log all the same.
"""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from time import time_ns
from typing import Final, Protocol

# https://www.w3.org/TR/trace-context/#traceparent-header: version, trace, parent, flags; later
# versions may have more. Version ff is none, nor are ids of zeros.
_TRACEPARENT: Final = re.compile(
    r"(?!ff)[0-9a-f]{2}-(?!0{32})([0-9a-f]{32})-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}(-.*)?"
)


class Trace(Protocol):
    """One request; callable from every thread."""

    trace_id: str
    """32 hexadecimal digits."""

    def note(self, stage: str, begun_ns: int, ended_ns: int, failed: str | None = None) -> None:
        """Note one stage of the request, also after its end.

        Parameters
        ----------
        stage : as decode; never a caller's words
        begun_ns, ended_ns : nanoseconds since 1970
        failed : the code of the problem it ended with
        """

    def end(self, method: str, route: str, status: int, code: str | None, request_id: str) -> None:
        """End the request.

        Parameters
        ----------
        method, route : as the metrics tell them
        code : of the problem that was answered
        """


class Tracer(Protocol):
    """Begins traces."""

    def begin(self, traceparent: str, tracestate: str) -> Trace:
        """Begin a request.

        Parameters
        ----------
        traceparent, tracestate : the headers, or empty
        """


@contextmanager
def noting(trace: Trace | None, stage: str) -> Iterator[None]:
    """Note what is done within as a stage; do nothing without a trace."""
    if trace is None:
        yield
        return
    begun_ns = time_ns()
    failed: str | None = None
    try:
        yield
    except BaseException as error:
        failed = getattr(error, "code", type(error).__name__)
        raise
    finally:
        trace.note(stage, begun_ns, time_ns(), failed)


def trace_id_of(traceparent: str) -> str | None:
    """Return the id of a trace that a header `traceparent` names; None if it names none."""
    found = _TRACEPARENT.fullmatch(traceparent)
    if found is None or (traceparent.startswith("00") and found[2] is not None):
        return None
    return found[1]
