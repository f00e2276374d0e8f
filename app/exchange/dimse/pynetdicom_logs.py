"""What pynetdicom may say: where in its code something went wrong, and nothing of what came.

Its debug lines print data sets, its errors quote titles, UIDs and exceptions' texts: so none of
its messages is passed on. Imported before anything of it is used.
"""

import logging
from typing import Final

from pynetdicom import _config

_log = logging.getLogger("neumo.dimse")

_LEVEL: Final = logging.WARNING


class PlaceHandler(logging.Handler):
    """Tells of a record its place.

    As a warning, whatever it is to pynetdicom: a partner that is away is an error there, three
    times an attempt; whoever called has its own line of what came of it.
    """

    def emit(self, record: logging.LogRecord) -> None:
        """Log that there was one."""
        place = f"{record.filename}:{record.lineno}"
        _log.warning("pynetdicom", extra={"members": {"at": place}})


def quiet_pynetdicom() -> None:
    """Take its loggers' messages away; call it again without harm."""
    _config.LOG_HANDLER_LEVEL = "none"
    _config.LOG_REQUEST_IDENTIFIERS = False
    _config.LOG_RESPONSE_IDENTIFIERS = False
    logger = logging.getLogger("pynetdicom")
    logger.handlers = [PlaceHandler()]
    logger.setLevel(_LEVEL)
    logger.propagate = False
