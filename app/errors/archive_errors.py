"""An archive that is asked over DICOMweb."""

from typing import ClassVar

from app.errors.base_errors import NeumoError
from app.language import Text


class ArchiveUnusable(NeumoError):
    """The archive does not answer what it is asked; the command ends with `exit_code`."""

    exit_code: ClassVar[int] = 1
    code = "archive_unusable"
    title = Text("The archive can't be asked", "No se puede consultar el archivo")
    advice = Text(
        "The archive's DICOMweb services do not answer as they should: {reason}. Check --archive "
        "or NEUMO_ARCHIVE_DICOMWEB, and the token of NEUMO_PARTNER_AUTHORIZATION_FILE.",
        "Los servicios DICOMweb del archivo no responden como deberían: {reason}. Revise --archive "
        "o NEUMO_ARCHIVE_DICOMWEB, y el token de NEUMO_PARTNER_AUTHORIZATION_FILE.",
    )


class FilmNotFetched(NeumoError):
    """The archive lists a film, and does not give it."""

    code = "film_not_fetched"
    title = Text("The film is not to be had", "No se puede obtener la radiografía")
    advice = Text(
        "The archive lists the film and does not give it (HTTP status {status}; 413 is of a film "
        "over NEUMO_DICOM_FILM_BYTES). Look at its log.",
        "El archivo lista la radiografía y no la entrega (estado HTTP {status}; 413 si supera "
        "NEUMO_DICOM_FILM_BYTES). Revise su registro.",
    )
