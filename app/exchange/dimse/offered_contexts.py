"""Presentation contexts (PS3.8 annex B): which objects are taken, in which transfer syntaxes."""

from typing import Final

from pynetdicom.presentation import PresentationContext, build_context

from app.exchange.film_sort import DROPPED_CLASSES
from app.image.dicom.file_meta import TRANSFER_SYNTAXES
from app.render.hospital.source_image import FILM_CLASSES

_VERIFICATION: Final = "1.2.840.10008.1.1"
_IMPLICIT: Final = "1.2.840.10008.1.2"
_EXPLICIT: Final = "1.2.840.10008.1.2.1"
_DEFLATED: Final = "1.2.840.10008.1.2.1.99"

# Of several that are proposed together the first of these is taken: what every sender can write.
_FILM_SYNTAXES: Final = [_EXPLICIT, *(uid for uid in TRANSFER_SYNTAXES if uid != _EXPLICIT)]
_DROPPED_SYNTAXES: Final = [*_FILM_SYNTAXES, _DEFLATED]  # nobody opens them


def make_contexts() -> list[PresentationContext]:
    """Return what is offered: films as they can be read, and what is dropped, as it comes.

    An archive's job of a whole study fails where one of its objects finds no context.
    """
    return [
        build_context(_VERIFICATION, [_EXPLICIT, _IMPLICIT]),
        *(build_context(uid, _FILM_SYNTAXES) for uid in sorted(FILM_CLASSES)),
        *(build_context(uid, _DROPPED_SYNTAXES) for uid in DROPPED_CLASSES),
    ]
