"""The exchange with hospital systems: the queue of films and results, its key, the partners."""

from typing import ClassVar

from app.errors.base_errors import NeumoError, RequestError
from app.language import Text


class QueueFull(RequestError):
    """There is no room for another film that waits."""

    status = 503
    code = "queue_full"
    retry_after_s = 30
    title = Text("The queue is full", "La cola está llena")
    advice = Text(
        "There is no room for another film: this one was not kept. Send it again after the seconds "
        "in Retry-After; the operator has to look at what waits (neumo outbox list), at the disk, "
        "and at NEUMO_EXCHANGE_BYTES.",
        "No hay sitio para otra radiografía: esta no se guardó. Envíela de nuevo pasados los "
        "segundos indicados en Retry-After; el operador debe revisar lo que espera (neumo outbox "
        "list), el disco y NEUMO_EXCHANGE_BYTES.",
    )


class QueueAway(RequestError):
    """The queue's folder or database does not do what it is asked."""

    status = 503
    code = "queue_away"
    retry_after_s = 5
    title = Text("The queue can't be used", "No se puede usar la cola")
    advice = Text(
        "The queue can't be written or read at the moment: what was sent was not kept. Send it "
        "again after the seconds in Retry-After.",
        "La cola no se puede escribir ni leer por ahora: lo enviado no se guardó. Envíelo de nuevo "
        "pasados los segundos indicados en Retry-After.",
    )


class ExchangeOff(RequestError):
    """The service keeps no queue, so nothing can be stored in it or asked of it."""

    status = 404
    code = "exchange_off"
    title = Text("No films are taken to be kept", "No se admiten radiografías para guardar")
    advice = Text(
        "This service keeps no films: nothing can be stored here, and no reading be asked for "
        "later. Its operator can turn that on with NEUMO_EXCHANGE_FOLDER (extra hospital). POST "
        "/predict reads an image at once.",
        "Este servicio no guarda radiografías: no se puede almacenar nada ni pedir lecturas más "
        "tarde. Su operador puede activarlo con NEUMO_EXCHANGE_FOLDER (extra hospital). POST "
        "/predict lee una imagen al momento.",
    )


class ReadingUnknown(RequestError):
    """No film of that id is kept."""

    status = 404
    code = "reading_unknown"
    title = Text("No such film", "No existe esa radiografía")
    advice = Text(
        "No film of this id is kept: it was not stored here, or is no radiograph, or the hours "
        "that films are kept are over. Send its SOP Instance UID, or store it again.",
        "No se guarda ninguna radiografía con este identificador: no se almacenó aquí, no es una "
        "radiografía, o venció su plazo. Indique su SOP Instance UID o almacénela de nuevo.",
    )


class ReadingGone(RequestError):
    """A film was read, but what was said of it is kept no longer."""

    status = 410
    code = "reading_gone"
    title = Text("No longer kept", "Ya no se guarda")
    advice = Text(
        "This film was read and its results were delivered; they are kept here no longer. Look in "
        "the archive that they were delivered to, or send the film to /predict.",
        "Esta radiografía se leyó y sus resultados se entregaron; aquí ya no se guardan. "
        "Búsquelos en el archivo al que se entregaron, o envíe la radiografía a /predict.",
    )


class ResultAbsent(RequestError):
    """A film has no result of the kind that is wanted."""

    status = 404
    code = "result_absent"
    title = Text("No such result", "No existe ese resultado")
    advice = Text(
        "This film has no result of this kind; its state is {state}. A film that was not read has "
        "none at all. Accept: application/json tells its state, why, and what there is.",
        "Esta radiografía no tiene un resultado de este tipo; su estado es {state}. La que no se "
        "leyó no tiene ninguno. Accept: application/json indica su estado, el motivo y lo que hay.",
    )


class ExchangeError(NeumoError):
    """An exchange that can't run as it is set; the start stops with `exit_code`."""

    exit_code: ClassVar[int] = 3
    title = Text("The exchange can't run", "El intercambio no puede funcionar")


class ExchangeFolderUnusable(ExchangeError):
    """The folder of the queue, or the database in it, can't be used."""

    code = "exchange_folder_unusable"
    advice = Text(
        "The folder of the exchange can't be used: {reason}. Point NEUMO_EXCHANGE_FOLDER at one "
        "on a local disk that this user may write.",
        "No se puede usar la carpeta del intercambio: {reason}. Indique en NEUMO_EXCHANGE_FOLDER "
        "una de un disco local donde este usuario pueda escribir.",
    )


class ExchangeKeyUnusable(ExchangeError):
    """The key of the queue is missing, broken, or another than what the queue was encrypted by."""

    code = "exchange_key_unusable"
    advice = Text(
        "The key of the exchange can't be used: {reason}. Point NEUMO_EXCHANGE_KEY_FILE at the key "
        "that the queue was encrypted by. If it is lost, so is what waits: move the folder away, "
        "and let the archive send its films again.",
        "No se puede usar la clave del intercambio: {reason}. Indique en NEUMO_EXCHANGE_KEY_FILE "
        "la clave con que se cifró la cola. Si se perdió, también lo que espera: aparte la carpeta "
        "y haga que el archivo envíe de nuevo sus radiografías.",
    )


class PartnersUnusable(ExchangeError):
    """The partners that get results can't be understood, or can't be reached as it is set."""

    exit_code = 2
    code = "partners_unusable"
    advice = Text(
        "NEUMO_PARTNERS can't be used: partner {number} {reason}. Give dicom://AET@host:port, "
        "dicoms://AET@host:port, https://host/dicom-web or fhir+https://host/fhir, separated by "
        "commas.",
        "No se puede usar NEUMO_PARTNERS: el destino {number} {reason}. Indique "
        "dicom://AET@host:puerto, dicoms://AET@host:puerto, https://host/dicom-web o "
        "fhir+https://host/fhir, separados por comas.",
    )


class FilmLost(NeumoError):
    """What the queue should hold of a film or a result is gone, or was changed."""

    code = "film_lost"
    title = Text("Not to be opened any more", "Ya no se puede abrir")
    advice = Text(
        "What the queue kept of this film is gone or was changed. Send the film again.",
        "Lo que la cola guardaba de esta radiografía falta o fue alterado. Envíela de nuevo.",
    )


class ArchiveUnusable(ExchangeError):
    """The archive does not answer what it is asked; the command ends with `exit_code`."""

    exit_code = 1
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
