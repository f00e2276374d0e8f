"""A client of Neumo, which reads chest X-rays over HTTP. Not a medical device.

    client -> call -> (answers | errors) <- retries

`client` and `async_client` hold the two clients, which do the same. `call` says what is sent and
what an answer means, `answers` are what a service says of a film, `errors` why it doesn't, `films`
what may be sent, `retries` when it is sent again, `connection` how a service is reached.
"""

from neumo_client.answers import (
    Acceptance,
    ActivationMap,
    Dicom,
    Explanation,
    FilmReading,
    GreyWindow,
    Heatmap,
    Image,
    ModelReference,
    Reading,
    Remark,
    ResultReference,
    Subject,
    Timing,
)
from neumo_client.async_client import AsyncClient
from neumo_client.client import Client
from neumo_client.errors import (
    ConnectionLost,
    DeadlineExceeded,
    FilmRefused,
    FilmUnreadable,
    Forbidden,
    InvalidCall,
    NeumoError,
    NoAnswer,
    Overloaded,
    Problem,
    RateLimited,
    SchemaUnknown,
    ServiceFailed,
    TimedOut,
    Unauthenticated,
    Unavailable,
    UnexpectedAnswer,
)
from neumo_client.films import Film, Source
from neumo_client.retries import NO_RETRIES, Retries
from neumo_client.version import VERSION

__version__ = VERSION

__all__ = [
    "NO_RETRIES",
    "Acceptance",
    "ActivationMap",
    "AsyncClient",
    "Client",
    "ConnectionLost",
    "DeadlineExceeded",
    "Dicom",
    "Explanation",
    "Film",
    "FilmReading",
    "FilmRefused",
    "FilmUnreadable",
    "Forbidden",
    "GreyWindow",
    "Heatmap",
    "Image",
    "InvalidCall",
    "ModelReference",
    "NeumoError",
    "NoAnswer",
    "Overloaded",
    "Problem",
    "RateLimited",
    "Reading",
    "Remark",
    "ResultReference",
    "Retries",
    "SchemaUnknown",
    "ServiceFailed",
    "Source",
    "Subject",
    "TimedOut",
    "Timing",
    "Unauthenticated",
    "Unavailable",
    "UnexpectedAnswer",
    "__version__",
]
