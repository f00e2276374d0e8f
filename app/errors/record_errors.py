"""What is written down: the audit trail and feedback."""

from types import MappingProxyType
from typing import ClassVar

from app.errors.base_errors import NeumoError, RequestError
from app.language import Text


class RecordsOff(RequestError):
    """The service keeps no records, so nothing can be asked of them."""

    status = 404
    code = "records_off"
    title = Text("No records are kept", "No se guardan registros")
    advice = Text(
        "This service writes nothing down. Its operator can turn the audit trail on with "
        "NEUMO_AUDIT_FOLDER.",
        "Este servicio no guarda registros. Su operador puede activarlos con NEUMO_AUDIT_FOLDER.",
    )


class RequestUnknown(RequestError):
    """No Reading of that request is written down."""

    status = 404
    code = "request_unknown"
    title = Text("No such request", "No existe esa petición")
    advice = Text(
        "No Reading of this request is written down: the id is another one, or its rows were "
        "dropped after the time that they are kept. Send the request_id of an answer.",
        "No hay ninguna lectura guardada de esta petición: el identificador es otro, o sus filas "
        "se borraron al vencer su plazo. Envíe el request_id de una respuesta.",
    )


class FeedbackConflict(RequestError):
    """The diagnosis can't be taken for what that request was answered."""

    status = 409
    code = "feedback_conflict"
    title = Text("Not an image to give a diagnosis of", "No hay imagen a la que dar diagnóstico")
    advice = Text(
        "The diagnosis does not fit what that request was answered.",
        "El diagnóstico no corresponde a lo que se respondió a esa petición.",
    )
    reasons = MappingProxyType(
        {
            "several": Text(
                "That request had {files} files. Say which is meant: the index of its result.",
                "Esa petición tenía {files} archivos. Indique cuál con el index de su resultado.",
            ),
            "index": Text(
                "That request had no file of this index. It counts from 0.",
                "Esa petición no tenía ningún archivo con ese index. Se cuenta desde 0.",
            ),
            "not_read": Text(
                "That image was not read ({refusal}), so there is no answer to compare with.",
                "Esa imagen no se leyó ({refusal}), así que no hay respuesta con que comparar.",
            ),
        }
    )


class RecordsFull(RequestError):
    """The audit trail can't be written, and the settings say that nothing goes unwritten."""

    status = 503
    code = "records_full"
    retry_after_s = 5
    title = Text("The audit trail can't be written", "No se puede escribir el registro")
    advice = Text(
        "The audit trail has no room for another row, and nothing is read that can't be written "
        "down. Try again later; its operator has to free its disk or mend its database.",
        "El registro de auditoría no admite más filas, y no se lee nada que no pueda registrarse. "
        "Inténtelo más tarde; su operador debe liberar el disco o reparar la base de datos.",
    )


class RecordsUnavailable(RequestError):
    """The records' database does not answer."""

    status = 503
    code = "records_unavailable"
    retry_after_s = 5
    title = Text("The records can't be reached", "Los registros no están accesibles")
    advice = Text(
        "The database of the records does not answer. Images are read all the same. Try again "
        "after the seconds in Retry-After.",
        "La base de datos de los registros no responde. Las imágenes se leen igualmente. "
        "Inténtelo de nuevo pasados los segundos indicados en Retry-After.",
    )


class RecordsError(NeumoError):
    """An audit trail that can't be kept or read; the start stops with `exit_code`."""

    exit_code: ClassVar[int] = 3
    title = Text("The audit trail can't be used", "No se puede usar el registro de auditoría")


class AuditFolderUnusable(RecordsError):
    """The folder of the audit trail can't be written."""

    code = "audit_folder_unusable"
    advice = Text(
        "The audit trail's folder can't be used ({reason}). Point NEUMO_AUDIT_FOLDER at one that "
        "this user may write, or leave it empty to write nothing down.",
        "No se puede usar la carpeta del registro ({reason}). Indique en NEUMO_AUDIT_FOLDER una "
        "donde este usuario pueda escribir, o deje la variable vacía para no registrar nada.",
    )


class AuditKeyUnusable(RecordsError):
    """The key of the audit trail is missing, broken, or another than what the rows were made by."""

    code = "audit_key_unusable"
    advice = Text(
        "The audit trail's key can't be used: {reason}. Point NEUMO_AUDIT_KEY_FILE at the key that "
        "its rows were chained with; a lost key can't be made again.",
        "No se puede usar la clave del registro: {reason}. Indique en NEUMO_AUDIT_KEY_FILE la "
        "clave con que se encadenaron sus filas; una clave perdida no puede rehacerse.",
    )


class AuditDatabaseUnusable(RecordsError):
    """The database of the audit trail can't be used as it is."""

    code = "audit_database_unusable"
    advice = Text(
        "The audit trail's database can't be used: {reason}. Check NEUMO_AUDIT_DATABASE.",
        "No se puede usar la base de datos del registro: {reason}. Revise NEUMO_AUDIT_DATABASE.",
    )
