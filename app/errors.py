"""Every error Neumo raises on purpose, in one tree.

`NeumoError`
    `RequestError`: a call that can't be answered; each has an HTTP status.
        400 `Malformed` `InvalidParameter` `EmptyUpload` `MissingFile` `TooManyFiles`
            `InferenceMalformed`
        401 `Unauthenticated`  403 `Refused` `Forbidden` `OriginNotAllowed`
        404 `NotFound` `ModelUnknown` `RecordsOff` `RequestUnknown`  405 `MethodNotAllowed`
        408 `RequestTimeout`
        409 `ModelNotUsable` `SwitchInProgress` `NoFormerModel` `FeedbackConflict`
        413 `BodyTooLarge`
        415 `UnsupportedMediaType`
        422 `ImageTruncated` `ImageUndecodable` `ImageTooSmall` `ImageTooManyPixels`
            `DicomUnsupported` `NotAChestXray`
        429 `RateLimited`  431 `HeadTooLarge`
        500 `InternalError`
        503 `NotReady` `Overloaded` `SwitchFailed` `IssuerUnavailable` `RecordsFull`
            `RecordsUnavailable`
        504 `DeadlineExceeded`
    `CallerGone`: nobody waits for the answer any more; nobody is answered.
    `FileUnreadable`: a file that the terminal was given can't be opened.
    `StudyUnknown`: a film that no result can be filed beside, since it names no study.
    `FilmsUnusable`: what `neumo accept` was given can't be measured on as it is.
    `ScoreError`: an archive that can't be scored as it was asked for.
        `SourceUnusable` `SourceLost` `DestinationUnusable` `RunDiffers` `EngineFailed`
    `RecordsError`: an audit trail that can't be kept or read; it stops the start.
        `AuditFolderUnusable` `AuditKeyUnusable` `AuditDatabaseUnusable`
    `AccessError`: who gets in can't be decided as it is set; it stops the start.
        `NobodyKnown` `KeysUnusable` `TokensUnusable` `TlsUnusable`
    `BundleError`: a model that must not be served; it stops the start.
        `BundleMissing` `BundleMalformed` `BundleHashMismatch` `GraphUnusable`
        `KnownAnswerWrong` `PriorsUnknown` `BundleChanged` `ChoiceUnusable`
        `SignatureMissing` `SignatureWrong` `SignatureKeysUnusable`
        `AcceptanceMissing` `AcceptanceMalformed` `AcceptanceMismatch`

Texts are templates filled with `facts`: numbers and names of Neumo's own. Nothing that
came from a caller (bytes, file names, header values) may become a fact, so no message
can carry patient data.
"""

import math
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, ClassVar

from app.language import Language, Text

Fact = int | float | str


class NeumoError(Exception):
    """Base of the tree: a stable `code` for machines, texts for people."""

    code: ClassVar[str]
    title: ClassVar[Text]
    advice: ClassVar[Text]

    def __init__(self, **facts: Fact) -> None:
        self.facts = facts
        super().__init__(self.detail("en"))

    def __reduce__(self) -> tuple[Any, ...]:
        """Cross from one process to another whole: an error's facts are given by name."""
        return _make_again, (type(self), str(self), self.__dict__)

    def detail(self, language: Language) -> str:
        """Say in `language` what happened and what to do next."""
        return self.advice.render(language, **self.facts)


def _make_again(kind: type[NeumoError], text: str, state: Mapping[str, Any]) -> NeumoError:
    error = kind.__new__(kind, text)
    error.__dict__.update(state)
    return error


class RequestError(NeumoError):
    """A call that can't be answered, rendered as RFC 9457 problem+json."""

    status: int
    retry_after_s: ClassVar[int | None] = None
    reasons: ClassVar[Mapping[str, Text]] = {}
    """Closer details, by the fact `reason`."""

    def detail(self, language: Language) -> str:
        """Say in `language` what happened and what to do next, as closely as is known."""
        closer = self.reasons.get(str(self.facts.get("reason")))
        return closer.render(language, **self.facts) if closer else super().detail(language)

    def headers(self) -> dict[str, str]:
        """Return the HTTP headers this problem adds."""
        return {} if self.retry_after_s is None else {"Retry-After": str(self.retry_after_s)}


class Malformed(RequestError):
    """The request breaks HTTP's or the form's own rules."""

    status = 400
    code = "malformed"
    title = Text("Malformed request", "Petición mal formada")
    advice = Text(
        "The request could not be parsed. Send one image as the multipart field 'file', or as "
        "the whole body.",
        "No se pudo interpretar la petición. Envíe una imagen en el campo multipart 'file' o "
        "como cuerpo completo.",
    )
    reasons = MappingProxyType(
        {
            "no_boundary": Text(
                "The Content-Type multipart/form-data names no usable boundary. Let the HTTP "
                "library write this header itself: don't set Content-Type by hand.",
                "El Content-Type multipart/form-data no indica un boundary utilizable. Deje que la "
                "biblioteca HTTP escriba esta cabecera; no ponga Content-Type a mano.",
            ),
            "form_incomplete": Text(
                "The form ends before its closing boundary, or its boundary is not the one that "
                "Content-Type names. Send it again, whole.",
                "El formulario termina antes de su boundary final, o su boundary no es el que "
                "indica Content-Type. Envíelo de nuevo, completo.",
            ),
            "form_syntax": Text(
                "The form's parts could not be told apart: their headers or boundaries are broken. "
                "Let an HTTP library write the form, or send the image as the whole body.",
                "No se pudieron separar las partes del formulario: sus cabeceras o boundaries son "
                "incorrectos. Deje que una biblioteca HTTP lo escriba, o envíe la imagen como "
                "cuerpo.",
            ),
            "part_without_name": Text(
                "A part of the form has no name. Give each part a header "
                'Content-Disposition: form-data; name="...".',
                "Una parte del formulario no tiene nombre. Ponga en cada parte la cabecera "
                'Content-Disposition: form-data; name="...".',
            ),
            "two_keys": Text(
                "The request shows two keys that differ. Send one: as 'Authorization: Bearer KEY' "
                "or as 'X-API-Key: KEY'.",
                "La petición muestra dos claves distintas. Envíe una: como 'Authorization: Bearer "
                "CLAVE' o como 'X-API-Key: CLAVE'.",
            ),
            "too_many_parts": Text(
                "The form has too many parts. Send the images and the fields 'age_years' and "
                "'view' only; nothing else is read.",
                "El formulario tiene demasiadas partes. Envíe solo las imágenes y los campos "
                "'age_years' y 'view'; no se lee nada más.",
            ),
            "address": Text(
                "The address line holds characters that have to be percent-encoded (letters "
                "outside ASCII, spaces). Encode the query, as curl does with --data-urlencode.",
                "La línea de dirección contiene caracteres que deben codificarse con % (letras "
                "fuera de ASCII, espacios). Codifique la consulta, como hace curl con "
                "--data-urlencode.",
            ),
        }
    )


class InvalidParameter(RequestError):
    """A parameter of the query or a field of the form has a value it can't take."""

    status = 400
    code = "invalid_parameter"
    title = Text("Invalid parameter", "Parámetro no válido")
    advice = Text(
        "The parameter '{parameter}' can't take this value. /docs lists those it takes.",
        "El parámetro '{parameter}' no admite este valor. /docs enumera los admitidos.",
    )
    reasons = MappingProxyType(
        {
            "age": Text(
                "'{parameter}' can't take this value. It takes years from 0 to 130, such as 61 "
                "or 61.5, or DICOM's words, such as 061Y, 018M, 006W or 010D. Leave it out if not "
                "known.",
                "'{parameter}' no admite este valor. Admite años de 0 a 130, como 61 o 61,5, o las "
                "formas de DICOM, como 061Y, 018M, 006W o 010D. Omítalo si no se conoce.",
            ),
            "view": Text(
                "'{parameter}' can't take this value. It takes PA, AP or lateral, or DICOM's words "
                "(LL, RL, LLD, RLD, LLO, RLO). Leave it out if unknown.",
                "'{parameter}' no admite este valor. Admite PA, AP o lateral, o los términos de "
                "DICOM (LL, RL, LLD, RLD, LLO, RLO). Omítalo si no se conoce.",
            ),
            "window": Text(
                "'{parameter}' can't take this value: it counts the VOI LUTs and windows of a "
                "DICOM file from 1, LUTs first, and this file has {windows}. Leave it out for "
                "the first.",
                "'{parameter}' no admite este valor: cuenta desde 1 las VOI LUT y ventanas del "
                "archivo DICOM, primero las LUT, y este archivo tiene {windows}. Omítalo para "
                "usar la primera.",
            ),
            "feedback": Text(
                "'{parameter}' of the feedback can't be taken. Send JSON such as "
                '{{"label": "covid19", "certainty": "definite"}}; of a batch, index too.',
                "'{parameter}' del diagnóstico no es válido. Envíe JSON como "
                '{{"label": "covid19", "certainty": "definite"}}; de un lote, también index.',
            ),
            "count": Text(
                "'{parameter}' is given more than once, but not once a file. Give it once, for all "
                "files, or once for each file, in their order; an empty one says nothing.",
                "'{parameter}' se indica más de una vez, pero no una por archivo. Indíquelo una "
                "vez, para todos, o una por archivo, en su orden; vacío no dice nada.",
            ),
        }
    )


class EmptyUpload(RequestError):
    """The file or the body has no bytes."""

    status = 400
    code = "empty_upload"
    title = Text("Empty upload", "Archivo vacío")
    advice = Text(
        "The upload holds no bytes. Send the image file itself.",
        "El archivo recibido no contiene ningún byte. Envíe el propio archivo de imagen.",
    )


class MissingFile(RequestError):
    """A form without a file in the field the contract names."""

    status = 400
    code = "missing_file"
    title = Text("No file in the form", "Falta el archivo en el formulario")
    advice = Text(
        "The form has no file in its field '{field}' ('files', 'file[]' and 'files[]' are taken "
        "too). With curl: -F {field}=@chest.jpg",
        "El formulario no trae ningún archivo en el campo '{field}' (también se admiten 'files', "
        "'file[]' y 'files[]'). Con curl: -F {field}=@torax.jpg",
    )
    reasons = MappingProxyType(
        {
            "text": Text(
                "The form's field '{field}' holds text, not an image. Attach the file itself: its "
                "part needs a filename or an image's Content-Type. With curl: "
                "-F {field}=@chest.jpg",
                "El campo '{field}' del formulario contiene texto, no una imagen. Adjunte el "
                "propio archivo: su parte necesita un filename o el Content-Type de una imagen. "
                "Con curl: -F {field}=@torax.jpg",
            ),
            "no_form": Text(
                "This call takes a form (multipart/form-data) with the images in its field "
                "'{field}'. With curl: -F {field}=@chest.jpg. /predict takes an image as the whole "
                "body.",
                "Esta llamada espera un formulario (multipart/form-data) con las imágenes en el "
                "campo '{field}'. Con curl: -F {field}=@torax.jpg. /predict admite una imagen como "
                "cuerpo completo.",
            ),
        }
    )


class TooManyFiles(RequestError):
    """More files than the call takes."""

    status = 400
    code = "too_many_files"
    title = Text("Too many files", "Demasiados archivos")
    advice = Text(
        "This call takes at most {max_files} file(s). Send several to /predict/batch, in groups "
        "if need be.",
        "Esta llamada admite como máximo {max_files} archivo(s). Envíe varios a /predict/batch, "
        "por grupos si hace falta.",
    )
    reasons = MappingProxyType(
        {
            "tensor": Text(
                "One call takes at most {max_files} images. Send them in groups of so many.",
                "Una petición admite como máximo {max_files} imágenes. Envíelas en grupos.",
            ),
        }
    )


class InferenceMalformed(RequestError):
    """The body of a v2 inference breaks the Open Inference Protocol's rules, or names no tensor."""

    status = 400
    code = "inference_malformed"
    title = Text("Malformed inference request", "Petición de inferencia mal formada")
    advice = Text(
        "The body is no inference request of the Open Inference Protocol (v2). Send the image "
        "files as the BYTES tensor 'file', or pixels as the UINT8 tensor 'image'.",
        "El cuerpo no es una petición de inferencia del Open Inference Protocol (v2). Envíe los "
        "archivos de imagen como tensor BYTES 'file', o píxeles como tensor UINT8 'image'.",
    )
    reasons = MappingProxyType(
        {
            "json": Text(
                "The body, or its part before the binary tensors, is no JSON object in UTF-8. Send "
                "an object with the member 'inputs'.",
                "El cuerpo, o su parte anterior a los tensores binarios, no es un objeto JSON en "
                "UTF-8. Envíe un objeto con el miembro 'inputs'.",
            ),
            "header_length": Text(
                "Inference-Header-Content-Length has to be the number of bytes of the JSON at the "
                "body's beginning, no more than the body has.",
                "Inference-Header-Content-Length debe ser el número de bytes del JSON al comienzo "
                "del cuerpo, no mayor que el cuerpo.",
            ),
            "too_many_values": Text(
                "The JSON has more values than the images of one call need. Send fewer images, or "
                "send tensors as binary data.",
                "El JSON tiene más valores de los que necesitan las imágenes de una petición. "
                "Envíe menos imágenes, o los tensores como datos binarios.",
            ),
            "inputs": Text(
                "'inputs' has to be a list with one of the tensors 'file' (BYTES) and 'image' "
                "(UINT8) and, if you like, 'age_years' and 'view', each once. GET "
                "/v2/models/NAME lists them.",
                "'inputs' debe ser una lista con uno de los tensores 'file' (BYTES) e 'image' "
                "(UINT8) y, si se quiere, 'age_years' y 'view', cada uno una vez. GET "
                "/v2/models/NOMBRE los enumera.",
            ),
            "datatype": Text(
                "An input has another datatype than it takes: 'file', 'age_years' and 'view' are "
                "BYTES, 'image' is UINT8.",
                "Una entrada tiene otro tipo de datos del que admite: 'file', 'age_years' y 'view' "
                "son BYTES, 'image' es UINT8.",
            ),
            "shape": Text(
                "An input has a shape that it can't take. 'file' takes [n] or [n, 1], 'image' "
                "[n, 1, 224, 224]; each side is at least 1.",
                "Una entrada tiene una forma que no admite. 'file' admite [n] o [n, 1], 'image' "
                "[n, 1, 224, 224]; cada lado es al menos 1.",
            ),
            "count": Text(
                "An input has more or fewer elements than its shape names.",
                "Una entrada tiene más o menos elementos de los que indica su forma.",
            ),
            "data": Text(
                "An input has neither 'data' nor 'binary_data_size'. Shared memory is not taken.",
                "Una entrada no tiene 'data' ni 'binary_data_size'. No se admite memoria "
                "compartida.",
            ),
            "elements": Text(
                "An input has elements that its datatype can't be: UINT8 are whole numbers from 0 "
                "to 255, BYTES of text are strings in UTF-8.",
                "Una entrada tiene elementos que no corresponden a su tipo: UINT8 son enteros de "
                "0 a 255, BYTES de texto son cadenas en UTF-8.",
            ),
            "base64": Text(
                "JSON can't hold an image's bytes: send each element of 'file' as a string in "
                "base64, or send the tensor as binary data.",
                "JSON no puede contener los bytes de una imagen: envíe cada elemento de 'file' "
                "como cadena en base64, o el tensor como datos binarios.",
            ),
            "binary_size": Text(
                "The 'binary_data_size' of the inputs don't add up to the bytes behind the JSON, "
                "or an input has 'data' too. Inference-Header-Content-Length says where they "
                "begin.",
                "Los 'binary_data_size' de las entradas no suman los bytes que siguen al JSON, o "
                "una entrada tiene además 'data'. Inference-Header-Content-Length indica dónde "
                "comienzan.",
            ),
            "binary_elements": Text(
                "The elements of a binary BYTES tensor have to begin each with their length, 4 "
                "bytes little-endian, and end within the tensor.",
                "Los elementos de un tensor BYTES binario deben empezar por su longitud, 4 bytes "
                "little-endian, y terminar dentro del tensor.",
            ),
            "outputs": Text(
                "'outputs' has to be a list of outputs that the model has, each once. GET "
                "/v2/models/NAME lists them; leave it out for all.",
                "'outputs' debe ser una lista de salidas del modelo, cada una una vez. GET "
                "/v2/models/NOMBRE las enumera; omítalo para tenerlas todas.",
            ),
            "extension": Text(
                "Of the protocol's extensions only binary tensors are taken: no classification, no "
                "shared memory.",
                "De las extensiones del protocolo solo se admiten los tensores binarios: ni "
                "clasificación ni memoria compartida.",
            ),
            "parameters": Text(
                "'parameters' has to be an object, and 'binary_data' and 'binary_data_output' true "
                "or false.",
                "'parameters' debe ser un objeto, y 'binary_data' y 'binary_data_output' true o "
                "false.",
            ),
            "id": Text(
                "'id' has to be a string of at most 256 characters.",
                "'id' debe ser una cadena de 256 caracteres como máximo.",
            ),
        }
    )


class Refused(RequestError):
    """A guard in front of the call refuses it, with a status of its own.

    Parameters
    ----------
    status : the guard's, such as 401, 403 or 429
    headers : that the guard adds, such as WWW-Authenticate
    """

    status = 403
    code = "refused"
    title = Text("Refused", "Petición rechazada")
    advice = Text(
        "A rule of this service refuses the call. Ask its operator what you may call, and how.",
        "Una regla de este servicio rechaza la petición. Pregunte a su operador qué puede pedir y "
        "cómo.",
    )

    def __init__(self, status: int = 403, headers: Mapping[str, str] | None = None) -> None:
        super().__init__()
        self.status = status
        self._headers = dict(headers or {})

    def headers(self) -> dict[str, str]:
        """Return the headers that the guard adds."""
        return super().headers() | self._headers


class Unauthenticated(RequestError):
    """Nobody who is known asks: no key, or none that lets anybody in."""

    status = 401
    code = "unauthenticated"
    title = Text("Not authenticated", "Sin autenticar")
    advice = Text(
        "This call needs a key. Send it as 'Authorization: Bearer KEY' or as 'X-API-Key: KEY'; the "
        "service's operator makes one with 'neumo keys create'.",
        "Esta petición necesita una clave. Envíela como 'Authorization: Bearer CLAVE' o como "
        "'X-API-Key: CLAVE'; quien opera el servicio la crea con 'neumo keys create'.",
    )
    reasons = MappingProxyType(
        {
            "unknown": Text(
                "The key is not one of this service's. Check that all of it was sent, and to the "
                "right service.",
                "La clave no es de este servicio. Compruebe que se envió completa y al servicio "
                "correcto.",
            ),
            "expired": Text(
                "The key has expired. Ask the service's operator for a new one.",
                "La clave ha caducado. Pida otra a quien opera el servicio.",
            ),
            "revoked": Text(
                "The key was revoked. Ask the service's operator for a new one.",
                "La clave fue revocada. Pida otra a quien opera el servicio.",
            ),
            "token": Text(
                "The token is not one that this service takes: its issuer, audience, signature or "
                "times are not as they should be. Ask the issuer for a new one.",
                "Este servicio no admite el token: su emisor, audiencia, firma o fechas no son "
                "los debidos. Pida otro al emisor.",
            ),
        }
    )

    def headers(self) -> dict[str, str]:
        """Say how to authenticate (RFC 6750, section 3)."""
        shown = self.facts.get("reason", "missing") != "missing"
        error = ', error="invalid_token"' if shown else ""
        return super().headers() | {"WWW-Authenticate": 'Bearer realm="neumo"' + error}


class Forbidden(RequestError):
    """Who asks is known, and may not ask for this."""

    status = 403
    code = "forbidden"
    title = Text("Not allowed", "No permitido")
    advice = Text(
        "This call needs the scope '{scope}', which the caller does not have. Ask the service's "
        "operator for a key with it.",
        "Esta petición necesita el permiso '{scope}', que quien llama no tiene. Pida a quien opera "
        "el servicio una clave que lo tenga.",
    )

    def headers(self) -> dict[str, str]:
        """Name the scope that is missing (RFC 6750, section 3)."""
        challenge = 'Bearer realm="neumo", error="insufficient_scope", scope="{scope}"'
        return super().headers() | {"WWW-Authenticate": challenge.format(**self.facts)}


class OriginNotAllowed(RequestError):
    """A page of another origin calls from a browser, and isn't among those that may."""

    status = 403
    code = "origin_not_allowed"
    title = Text("Origin not allowed", "Origen no permitido")
    advice = Text(
        "A web page of another origin may not call this service. Whoever runs it can name the "
        "page's origin in NEUMO_CORS_ORIGINS. If the page is Neumo's own, behind a proxy: let the "
        "proxy pass on the Host header with its port, or set X-Forwarded-Host.",
        "Una página web de otro origen no puede llamar a este servicio. Quien lo opera puede "
        "indicar el origen de la página en NEUMO_CORS_ORIGINS. Si es la página de Neumo detrás de "
        "un proxy: haga que el proxy transmita la cabecera Host con su puerto, o X-Forwarded-Host.",
    )


class NotFound(RequestError):
    """No such path."""

    status = 404
    code = "not_found"
    title = Text("Not found", "No encontrado")
    advice = Text(
        "There is nothing at this path. /docs lists every call.",
        "No hay nada en esta ruta. /docs enumera todas las llamadas.",
    )


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


class MethodNotAllowed(RequestError):
    """The path exists, the method doesn't."""

    status = 405
    code = "method_not_allowed"
    title = Text("Method not allowed", "Método no permitido")
    advice = Text(
        "This path does not take this method; the Allow header names those it takes.",
        "Esta ruta no admite este método; la cabecera Allow indica los admitidos.",
    )


class RequestTimeout(RequestError):
    """The head or the body comes too slowly."""

    status = 408
    code = "request_timeout"
    title = Text("Request timeout", "Petición demasiado lenta")
    advice = Text(
        "The request did not arrive in time. Check the connection and send it again, all at once.",
        "La petición no llegó a tiempo. Compruebe la conexión y envíela de nuevo de una vez.",
    )

    def headers(self) -> dict[str, str]:
        """Close the connection: the rest of the request is not waited for."""
        return super().headers() | {"Connection": "close"}


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


class BodyTooLarge(RequestError):
    """The body is over its limit, by its declared or its real length."""

    status = 413
    code = "body_too_large"
    title = Text("Body too large", "Cuerpo demasiado grande")
    advice = Text(
        "The body is over {max_body_bytes} bytes. Send a smaller file.",
        "El cuerpo supera {max_body_bytes} bytes. Envíe un archivo más pequeño.",
    )

    def headers(self) -> dict[str, str]:
        """Close the connection: the rest of the body is not waited for."""
        return super().headers() | {"Connection": "close"}


class UnsupportedMediaType(RequestError):
    """The bytes are of no format Neumo reads, whatever the file's name says."""

    status = 415
    code = "unsupported_media_type"
    title = Text("Unsupported media type", "Tipo de archivo no admitido")
    advice = Text(
        "The content is neither JPEG nor PNG nor a DICOM file (Part 10). Export the radiograph as "
        "one of these; renaming a file does not convert it.",
        "El contenido no es JPEG, PNG ni un archivo DICOM (Parte 10). Exporte la radiografía en "
        "uno de estos formatos; cambiar el nombre de un archivo no lo convierte.",
    )
    reasons = MappingProxyType(
        {
            "content_encoding": Text(
                "The body is compressed (Content-Encoding), which is not read. JPEG and PNG are "
                "compressed already: send the file as it is.",
                "El cuerpo está comprimido (Content-Encoding), lo que no se lee. JPEG y PNG ya "
                "están comprimidos: envíe el archivo tal cual.",
            ),
            "gzip": Text(
                "The content is compressed with gzip. Unpack it and send the image itself.",
                "El contenido está comprimido con gzip. Descomprímalo y envíe la propia imagen.",
            ),
            "json": Text(
                "The content is JSON. Send the image's own bytes: as the form field 'file', or as "
                "the whole body with Content-Type image/jpeg or image/png.",
                "El contenido es JSON. Envíe los bytes de la imagen: en el campo 'file' de un "
                "formulario, o como cuerpo completo con Content-Type image/jpeg o image/png.",
            ),
            "base64": Text(
                "The content is an image in base64. Decode it first, and send its bytes.",
                "El contenido es una imagen en base64. Decodifíquela y envíe sus bytes.",
            ),
            "dicom": Text(
                "The content is a DICOM file, and this Neumo reads no DICOM: whoever runs it "
                "installs neumo[dicom]. Or export the radiograph from the PACS or viewer as JPEG "
                "or PNG, and send 'age_years' and 'view' beside it.",
                "El contenido es un archivo DICOM, y este Neumo no lee DICOM: quien lo opera debe "
                "instalar neumo[dicom]. O exporte la radiografía desde el PACS o visor como JPEG o "
                "PNG, y envíe además 'age_years' y 'view'.",
            ),
            "encrypted": Text(
                "The content is encrypted (a CMS envelope, as of secure DICOM files). Decrypt it "
                "first, and send the image itself.",
                "El contenido está cifrado (un sobre CMS, como en los archivos DICOM seguros). "
                "Descífrelo primero y envíe la propia imagen.",
            ),
            "not_json": Text(
                "This call takes JSON. Send Content-Type: application/json. With curl: "
                "-H 'Content-Type: application/json' -d '...'.",
                "Esta llamada espera JSON. Envíe Content-Type: application/json. Con curl: "
                "-H 'Content-Type: application/json' -d '...'.",
            ),
            "urlencoded": Text(
                "The content is a form in application/x-www-form-urlencoded, which can't hold a "
                "file. Use multipart/form-data. With curl: -F file=@chest.jpg, not -d.",
                "El contenido es un formulario application/x-www-form-urlencoded, que no puede "
                "llevar archivos. Use multipart/form-data. Con curl: -F file=@torax.jpg, no -d.",
            ),
            "form": Text(
                "The content is a multipart form, but Content-Type does not say so. Let the HTTP "
                "library write Content-Type itself.",
                "El contenido es un formulario multipart, pero Content-Type no lo dice. Deje que "
                "la biblioteca HTTP escriba Content-Type.",
            ),
        }
    )

    def headers(self) -> dict[str, str]:
        """Tell which coding a body may have (RFC 9110 section 15.5.16)."""
        coded = self.facts.get("reason") == "content_encoding"
        return super().headers() | ({"Accept-Encoding": "identity"} if coded else {})


class ImageTruncated(RequestError):
    """The image ends before its pixels do."""

    status = 422
    code = "image_truncated"
    title = Text("Image truncated", "Imagen incompleta")
    advice = Text(
        "The image ends too early; part of it was lost on the way. Send it again from the source.",
        "La imagen termina antes de tiempo; se perdió una parte. Envíela de nuevo desde el origen.",
    )


class ImageUndecodable(RequestError):
    """The bytes begin like an image but can't be decoded."""

    status = 422
    code = "image_undecodable"
    title = Text("Image can't be decoded", "No se puede decodificar la imagen")
    advice = Text(
        "The file is damaged, incomplete or uses a variant of {format} that Neumo does not read. "
        "Export it again as 8-bit JPEG, or as 8 or 16-bit PNG.",
        "El archivo está dañado, incompleto o usa una variante de {format} que Neumo no lee. "
        "Expórtelo de nuevo como JPEG de 8 bits o PNG de 8 o 16 bits.",
    )


class ImageTooSmall(RequestError):
    """Too few pixels to read a chest from."""

    status = 422
    code = "image_too_small"
    title = Text("Image too small", "Imagen demasiado pequeña")
    advice = Text(
        "Both sides need at least {min_side_px} pixels. Send the radiograph itself, not its "
        "thumbnail.",
        "Ambos lados necesitan al menos {min_side_px} píxeles. Envíe la radiografía, no su "
        "miniatura.",
    )


class ImageTooManyPixels(RequestError):
    """More pixels than Neumo decodes; known from the header, before any is decoded."""

    status = 422
    code = "image_too_many_pixels"
    title = Text("Image has too many pixels", "La imagen tiene demasiados píxeles")
    advice = Text(
        "The image has more than {max_pixels} pixels. Send it scaled down; Neumo reads at 224 x "
        "224 pixels.",
        "La imagen tiene más de {max_pixels} píxeles. Envíela reducida; Neumo lee a 224 x 224 "
        "píxeles.",
    )


class DicomUnsupported(RequestError):
    """A DICOM file of a kind, or in a coding, that Neumo does not read."""

    status = 422
    code = "dicom_unsupported"
    title = Text("DICOM of a kind that is not read", "DICOM de un tipo que no se lee")
    advice = Text(
        "Neumo does not read this kind of DICOM file. Send a single CR image, DX image for "
        "presentation or secondary capture.",
        "Neumo no lee este tipo de archivo DICOM. Envíe una sola imagen CR, DX para presentación o "
        "captura secundaria.",
    )
    reasons = MappingProxyType(
        {
            "transfer_syntax": Text(
                "The file's transfer syntax is not read. Store it uncompressed (explicit VR little "
                "endian), or as JPEG, JPEG-LS, JPEG 2000, HTJ2K or RLE.",
                "La sintaxis de transferencia del archivo no se lee. Guárdelo sin comprimir "
                "(explicit VR little endian) o como JPEG, JPEG-LS, JPEG 2000, HTJ2K o RLE.",
            ),
            "deflated": Text(
                "The file is deflated as a whole, which is not read: it could unpack to any size. "
                "Store it in another transfer syntax, such as explicit VR little endian.",
                "El archivo está comprimido entero (deflated), lo que no se lee: podría ocupar "
                "cualquier tamaño. Guárdelo en otra sintaxis, como explicit VR little endian.",
            ),
            "dicomdir": Text(
                "The file is a DICOMDIR: it lists images and holds none. Send an image of those "
                "it lists.",
                "El archivo es un DICOMDIR: enumera imágenes y no contiene ninguna. Envíe una de "
                "las imágenes que enumera.",
            ),
            "multi_frame": Text(
                "The file holds several frames. Send the radiograph as a single frame.",
                "El archivo contiene varios fotogramas. Envíe la radiografía como una sola imagen.",
            ),
            "for_processing": Text(
                "The image is meant for processing (Presentation Intent Type), not for showing: "
                "its grey levels are the detector's. Send the image for presentation of the "
                "same exposure.",
                "La imagen es para procesamiento (Presentation Intent Type), no para mostrarse: "
                "sus niveles de gris son los del detector. Envíe la imagen para presentación de "
                "la misma exposición.",
            ),
            "pixels": Text(
                "The image's pixels are of a kind that is not read. Neumo reads MONOCHROME1 and "
                "MONOCHROME2 of 8 to 16 bits, and 8-bit RGB, YBR and PALETTE COLOR.",
                "Los píxeles de la imagen son de un tipo que no se lee. Neumo lee MONOCHROME1 y "
                "MONOCHROME2 de 8 a 16 bits, y RGB, YBR y PALETTE COLOR de 8 bits.",
            ),
            "grey_scale": Text(
                "The image's window, look-up table or rescaling contradicts itself, so how it is "
                "to be shown is not known. Correct it at its source, or export the radiograph as "
                "JPEG or PNG.",
                "La ventana, la tabla o el reescalado de la imagen se contradicen, así que no se "
                "sabe cómo debe mostrarse. Corríjalo en el origen o exporte la radiografía como "
                "JPEG o PNG.",
            ),
            "too_complex": Text(
                "The file's header holds more elements, or nests them deeper, than any image "
                "needs. Export the image without private elements.",
                "La cabecera del archivo contiene más elementos, o más anidados, de los que "
                "necesita una imagen. Exporte la imagen sin elementos privados.",
            ),
        }
    )


class NotAChestXray(RequestError):
    """The picture is far from every frontal chest X-ray the network learned from.

    With a `reason` that is not unknown, the picture is one once that is mended.
    """

    status = 422
    code = "not_a_chest_xray"
    title = Text("Not a frontal chest X-ray", "No es una radiografía frontal de tórax")
    advice = Text(
        "The picture is unlike the frontal chest X-rays that the network knows, so it gets no "
        "label. Check that the right file was sent: one frontal view, upright, with nothing "
        "around it.",
        "La imagen no se parece a las radiografías frontales de tórax que conoce la red, por lo "
        "que no recibe ninguna etiqueta. Compruebe que es el archivo correcto: una proyección "
        "frontal, vertical y sin nada alrededor.",
    )
    reasons = MappingProxyType(
        {
            "inverted": Text(
                "The radiograph is inverted: bone must be bright and air dark. Invert its grey "
                "levels and send it again.",
                "La radiografía está invertida: el hueso debe verse claro y el aire oscuro. "
                "Invierta los niveles de gris y envíela de nuevo.",
            ),
            "upside_down": Text(
                "The radiograph is upside down. Turn it by 180 degrees and send it again.",
                "La radiografía está boca abajo. Gírela 180 grados y envíela de nuevo.",
            ),
            "sideways": Text(
                "The radiograph lies on its side. Turn it upright and send it again.",
                "La radiografía está de lado. Gírela hasta que quede vertical y envíela de nuevo.",
            ),
        }
    )


class RateLimited(RequestError):
    """The caller asks more often than it may, or too many who are unknown ask."""

    status = 429
    code = "rate_limited"
    title = Text("Too many requests", "Demasiadas peticiones")
    advice = Text(
        "More requests came than this caller may send. Try again in {retry_after_s:g} s, or ask "
        "the service's operator for a higher rate.",
        "Se recibieron más peticiones de las que puede enviar quien llama. Inténtelo de nuevo en "
        "{retry_after_s:g} s o pida a quien opera el servicio un límite mayor.",
    )

    def headers(self) -> dict[str, str]:
        """Say when the next one is taken."""
        return {"Retry-After": str(math.ceil(float(self.facts["retry_after_s"])))}


class HeadTooLarge(RequestError):
    """The request line and the headers are over their limit."""

    status = 431
    code = "head_too_large"
    title = Text("Request head too large", "Cabeceras demasiado grandes")
    advice = Text(
        "The request line and the headers are over {max_head_bytes} bytes. Send fewer or shorter "
        "headers.",
        "La línea de petición y las cabeceras superan {max_head_bytes} bytes. Envíe menos "
        "cabeceras o más cortas.",
    )


class InternalError(RequestError):
    """Neumo's own fault; the log holds where, under the request id."""

    status = 500
    code = "internal_error"
    title = Text("Internal error", "Error interno")
    advice = Text(
        "Neumo failed; the image may be fine. Try again, and give the operator this request_id "
        "if it recurs.",
        "Neumo ha fallado; la imagen puede estar bien. Inténtelo de nuevo y, si se repite, "
        "comunique este request_id al operador.",
    )


class NotReady(RequestError):
    """The model is still loading, or the service is shutting down."""

    status = 503
    code = "not_ready"
    retry_after_s = 1
    title = Text("Not ready", "No disponible todavía")
    advice = Text(
        "The model is not ready to answer. Try again after the seconds in Retry-After.",
        "El modelo no está listo para responder. Inténtelo de nuevo pasados los segundos "
        "indicados en Retry-After.",
    )


class Overloaded(RequestError):
    """More requests are waiting than can be answered soon."""

    status = 503
    code = "overloaded"
    title = Text("Overloaded", "Servicio saturado")
    advice = Text(
        "Too many requests are waiting. Try again in {retry_after_s:g} s.",
        "Hay demasiadas peticiones en espera. Inténtelo de nuevo en {retry_after_s:g} s.",
    )

    def headers(self) -> dict[str, str]:
        """Say when what waits now will be done."""
        return {"Retry-After": str(math.ceil(float(self.facts["retry_after_s"])))}


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


class IssuerUnavailable(RequestError):
    """A token can't be checked: its issuer's keys were never had, and can't be had now."""

    status = 503
    code = "issuer_unavailable"
    retry_after_s = 5
    title = Text("Tokens can't be checked", "No se pueden comprobar los tokens")
    advice = Text(
        "The issuer of tokens does not answer, so this one can't be checked. Try again after the "
        "seconds in Retry-After, or use a key.",
        "El emisor de tokens no responde, así que este no se puede comprobar. Inténtelo de nuevo "
        "pasados los segundos indicados en Retry-After o use una clave.",
    )


class DeadlineExceeded(RequestError):
    """The answer would come later than the deadline; the work was given up."""

    status = 504
    code = "deadline_exceeded"
    title = Text("Deadline exceeded", "Plazo agotado")
    advice = Text(
        "The image could not be read in time, and is not read any more. Try again, or send a "
        "smaller one.",
        "No se pudo leer la imagen a tiempo y ya no se leerá. Inténtelo de nuevo o envíe una "
        "más pequeña.",
    )


class ModelUnknown(RequestError):
    """No bundle of that name is loaded."""

    status = 404
    code = "model_unknown"
    title = Text("No such model", "No existe ese modelo")
    advice = Text(
        "The service holds no model of that name. GET /models lists those it holds; name a further "
        "one in NEUMO_MODELS and start anew.",
        "El servicio no tiene ningún modelo con ese nombre. GET /models enumera los que tiene; "
        "indique otro en NEUMO_MODELS y reinicie.",
    )
    reasons = MappingProxyType(
        {
            "version": Text(
                "The service holds another version of that model. GET /v2/models/NAME tells it; or "
                "leave the version out.",
                "El servicio tiene otra versión de ese modelo. GET /v2/models/NOMBRE la indica; "
                "o no indique la versión.",
            ),
        }
    )


class ModelNotUsable(RequestError):
    """A bundle that was not loaded, or fails its check, was to become the active one."""

    status = 409
    code = "model_not_usable"
    title = Text("The model can't be used", "El modelo no se puede usar")
    advice = Text(
        "The model '{model}' was not switched to, and the one before goes on, in every worker: "
        "{failure}. GET /models tells more. Mend the bundle and call again.",
        "No se cambió al modelo '{model}', y el anterior sigue en todos los procesos: {failure}. "
        "GET /models dice más. Corrija el modelo y llame de nuevo.",
    )
    reasons = MappingProxyType(
        {
            "asked": Text(
                "The model '{model}' can't be used: {failure}. GET /models tells more. Ask another "
                "one, or have the bundle mended.",
                "El modelo '{model}' no se puede usar: {failure}. GET /models dice más. Use otro o "
                "pida que se corrija el modelo.",
            ),
        }
    )


class SwitchInProgress(RequestError):
    """Another switch of models is under way."""

    status = 409
    code = "switch_in_progress"
    title = Text("A switch is under way", "Hay un cambio en curso")
    advice = Text(
        "Another switch of models is under way. See in GET /models how it ended, then call again.",
        "Hay otro cambio de modelo en curso. Vea en GET /models cómo terminó y llame de nuevo.",
    )


class NoFormerModel(RequestError):
    """There is no model to roll back to."""

    status = 409
    code = "no_former_model"
    title = Text("Nothing to roll back to", "No hay modelo anterior")
    advice = Text(
        "No model was active before this one, so there is none to roll back to. Name one with POST "
        "/admin/models/NAME/activate.",
        "Ningún modelo estuvo activo antes de este, así que no hay a cuál volver. Indique uno con "
        "POST /admin/models/NOMBRE/activate.",
    )


class SwitchFailed(RequestError):
    """A switch of models was given up, or isn't confirmed."""

    status = 503
    code = "switch_failed"
    retry_after_s = 5
    title = Text("The switch failed", "El cambio falló")
    advice = Text(
        "The switch of models failed: {reason}.",
        "El cambio de modelo falló: {reason}.",
    )
    reasons = MappingProxyType(
        {
            "no_vote": Text(
                "A worker did not say in time whether it can use the model. The one before goes "
                "on, in every worker. Call again.",
                "Un proceso no dijo a tiempo si puede usar el modelo. El anterior sigue en todos "
                "los procesos. Llame de nuevo.",
            ),
            "not_kept": Text(
                "The choice could not be written to the file of NEUMO_MODEL_CHOICE, so it would be "
                "forgotten at the next start. The model before goes on, in every worker. Make the "
                "file's folder one that the service can write, and call again.",
                "La elección no se pudo escribir en el archivo de NEUMO_MODEL_CHOICE, y se "
                "olvidaría al reiniciar. El modelo anterior sigue en todos los procesos. Permita "
                "que el servicio escriba en esa carpeta y llame de nuevo.",
            ),
            "not_confirmed": Text(
                "The switch is made, but a worker has not confirmed it in time; one that hangs is "
                "replaced, and starts with the new model. See GET /models.",
                "El cambio está hecho, pero un proceso no lo confirmó a tiempo; el que se bloquea "
                "se reemplaza y empieza con el modelo nuevo. Vea GET /models.",
            ),
        }
    )


class CallerGone(NeumoError):
    """Nobody waits for the answer any more; nobody is answered."""

    code = "caller_gone"
    title = Text("The caller has gone", "El cliente se ha ido")
    advice = Text(
        "The connection was closed before the answer was ready. Send the request again.",
        "La conexión se cerró antes de que la respuesta estuviera lista. Envíe la petición de "
        "nuevo.",
    )


class FileUnreadable(NeumoError):
    """A file that the terminal was given can't be opened."""

    code = "file_unreadable"
    title = Text("The file can't be opened", "No se puede abrir el archivo")
    advice = Text(
        "The file can't be opened ({reason}). Check its path, and who may read it.",
        "No se puede abrir el archivo ({reason}). Compruebe su ruta y quién puede leerlo.",
    )


class StudyUnknown(NeumoError):
    """A film that no result can be filed beside, since it does not say which study it is of."""

    code = "study_unknown"
    title = Text("The film names no study", "La imagen no indica su estudio")
    advice = Text(
        "A result is filed beside its film, and this file does not say where: it is no DICOM file "
        "of the kind CR, DX or Secondary Capture, or it has no valid Study, Series or SOP Instance "
        "UID. Give the file as the archive holds it.",
        "Un resultado se archiva junto a su imagen, y este archivo no dice dónde: no es DICOM de "
        "tipo CR, DX o Secondary Capture, o no tiene un Study, Series o SOP Instance UID válido. "
        "Use el archivo tal como está en el PACS.",
    )


class FilmsUnusable(NeumoError):
    """What `neumo accept` was given can't be measured on as it is."""

    code = "films_unusable"
    title = Text("The films can't be measured on", "No se puede medir con las radiografías")
    advice = Text(
        "The films can't be used: {reason}. Give a folder of <label>/<file>, a manifest.csv with "
        "the columns path and label, or a folder of films with --label normal.",
        "No se pueden usar las radiografías: {reason}. Indique una carpeta <etiqueta>/<archivo>, "
        "un manifest.csv con las columnas path y label, o una carpeta con --label normal.",
    )


class ScoreError(NeumoError):
    """An archive that can't be scored as it was asked for; `neumo score` ends with `exit_code`."""

    exit_code: ClassVar[int] = 2
    title = Text("The archive can't be scored", "No se puede procesar el archivo de radiografías")


class SourceUnusable(ScoreError):
    """There are no films where they were said to be."""

    code = "source_unusable"
    advice = Text(
        "The films can't be listed: {reason}. Give a folder, a file, a manifest.csv with a column "
        "path, or a URL that fsspec reads, such as s3://bucket/films.",
        "No se pueden enumerar las radiografías: {reason}. Indique una carpeta, un archivo, un "
        "manifest.csv con una columna path o una URL que lea fsspec, como s3://bucket/films.",
    )


class SourceLost(ScoreError):
    """Films could be opened, and no longer can: the place is gone, not one film after the other."""

    exit_code = 1
    code = "source_lost"
    advice = Text(
        "The last {films} film(s) could not be opened, nor one that could before: the place they "
        "lie in is gone. What was read before them is written. Bring it back, and call the same "
        "again.",
        "No se pudieron abrir las últimas {films} radiografías, ni una que antes sí se abrió: el "
        "lugar donde están ya no responde. Lo leído antes está escrito. Restablézcalo y repita la "
        "misma orden.",
    )


class DestinationUnusable(ScoreError):
    """The folder that results go to can't be used."""

    code = "destination_unusable"
    advice = Text(
        "The folder of --out can't be used: {reason}. Give one that is new or empty, or that of a "
        "run to go on with.",
        "No se puede usar la carpeta de --out: {reason}. Indique una nueva o vacía, o la de una "
        "ejecución que se deba continuar.",
    )


class RunDiffers(ScoreError):
    """A run can't go on: it was begun with something else."""

    code = "run_differs"
    advice = Text(
        "The run in --out was begun with another {what}: its rows would not be alike. Ask for the "
        "same as then, or give another --out.",
        "La ejecución de --out empezó con otro valor de {what}: sus filas no serían comparables. "
        "Pida lo mismo que entonces o indique otro --out.",
    )


class EngineFailed(ScoreError):
    """The processes that read films end before they read any."""

    exit_code = 3
    code = "engine_failed"
    advice = Text(
        "The processes that read films end as soon as they are started. Look for a want of memory, "
        "and call it with fewer (--processes).",
        "Los procesos que leen radiografías terminan nada más arrancar. Compruebe si falta memoria "
        "y use menos (--processes).",
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


class AccessError(NeumoError):
    """Who gets in can't be decided as it is set; the start stops with `exit_code`."""

    exit_code: ClassVar[int] = 2
    title = Text("It is not set who gets in", "No está definido quién puede entrar")


class NobodyKnown(AccessError):
    """The service would answer other machines, and asks nobody for a key."""

    code = "nobody_known"
    advice = Text(
        "{host} can be reached from other machines, and no keys are set: anybody could ask. Make a "
        "key with 'neumo keys create --file keys.json --name first --scopes predict,metrics' and "
        "start again with NEUMO_KEYS_FILE=keys.json (in a container: 'neumo keys create --bare' "
        "makes one for the secret that NEUMO_API_KEY_FILE names). Or listen on 127.0.0.1; or, "
        "where a proxy asks who calls, set NEUMO_INSECURE_NO_KEYS=true.",
        "Otras máquinas pueden llegar a {host} y no hay claves: cualquiera podría pedir. Cree una "
        "con 'neumo keys create --file keys.json --name first --scopes predict,metrics' y arranque "
        "de nuevo con NEUMO_KEYS_FILE=keys.json (en un contenedor: 'neumo keys create --bare' crea "
        "la del secreto que indica NEUMO_API_KEY_FILE). O escuche en 127.0.0.1; o, si un proxy ya "
        "comprueba quién llama, ponga NEUMO_INSECURE_NO_KEYS=true.",
    )


class KeysUnusable(AccessError):
    """A file of keys can't be used."""

    code = "keys_unusable"
    advice = Text(
        "The keys in {file} can't be used: {reason}. 'neumo keys create --file FILE' makes a file "
        "of keys for NEUMO_KEYS_FILE; 'neumo keys create --bare' prints one key, for the secret "
        "that NEUMO_API_KEY_FILE names.",
        "No se pueden usar las claves de {file}: {reason}. 'neumo keys create --file ARCHIVO' crea "
        "un archivo para NEUMO_KEYS_FILE; 'neumo keys create --bare' muestra una clave, para el "
        "secreto que indica NEUMO_API_KEY_FILE.",
    )


class TokensUnusable(AccessError):
    """Tokens of an issuer can't be taken as it is set."""

    code = "tokens_unusable"
    advice = Text(
        "Tokens can't be checked: {reason}. 'neumo settings' lists NEUMO_OIDC_*.",
        "No se pueden comprobar tokens: {reason}. 'neumo settings' enumera NEUMO_OIDC_*.",
    )


class TlsUnusable(AccessError):
    """The service's certificate, its key or the client authorities can't be used."""

    code = "tls_unusable"
    advice = Text(
        "TLS can't be served: {reason}. NEUMO_TLS_CERT is the certificate with its chain, "
        "NEUMO_TLS_KEY its key, both in PEM, the key without a password.",
        "No se puede servir TLS: {reason}. NEUMO_TLS_CERT es el certificado con su cadena y "
        "NEUMO_TLS_KEY su clave, ambos en PEM, la clave sin contraseña.",
    )


class BundleError(NeumoError):
    """A model bundle that must not be served; the start stops with `exit_code`."""

    exit_code: ClassVar[int] = 3
    title = Text("The model bundle can't be served", "No se puede servir el modelo")


class BundleMissing(BundleError):
    """A file of the bundle isn't there."""

    code = "bundle_missing"
    advice = Text(
        "The bundle '{bundle}' has no {file}. Point NEUMO_MODEL at a folder written by "
        "neumo-train.",
        "El modelo '{bundle}' no contiene {file}. Indique en NEUMO_MODEL una carpeta escrita "
        "por neumo-train.",
    )


class BundleMalformed(BundleError):
    """The card is not one this version understands."""

    code = "bundle_malformed"
    advice = Text(
        "The bundle '{bundle}' can't be read: {reason}. Export it again with this version's "
        "neumo-train.",
        "No se puede leer el modelo '{bundle}': {reason}. Expórtelo de nuevo con neumo-train de "
        "esta versión.",
    )


class PriorsUnknown(BundleError):
    """NEUMO_PRIORS is set, and the card doesn't say which priors to weigh from."""

    code = "priors_unknown"
    advice = Text(
        "The card of '{bundle}' tells no priors, so NEUMO_PRIORS can't re-weight its answers. "
        "Leave NEUMO_PRIORS empty, or give the bundle priors with neumo-train remeasure.",
        "La ficha de '{bundle}' no indica prevalencias, así que NEUMO_PRIORS no puede reponderar "
        "sus respuestas. Deje NEUMO_PRIORS vacío o añádalas al modelo con neumo-train remeasure.",
    )


class BundleHashMismatch(BundleError):
    """A graph is not the file the card was written for."""

    code = "bundle_hash_mismatch"
    advice = Text(
        "{file} of the bundle '{bundle}' has another sha256 than its card. Copy the whole "
        "bundle again; never mix files of two bundles.",
        "{file} del modelo '{bundle}' tiene un sha256 distinto al de su ficha. Copie de nuevo "
        "el modelo completo; nunca mezcle archivos de dos modelos.",
    )


class GraphUnusable(BundleError):
    """ONNX Runtime and the contract don't accept the graph."""

    code = "graph_unusable"
    advice = Text(
        "model.onnx can't be used: {reason}. Export it again with this version's neumo-train.",
        "No se puede usar model.onnx: {reason}. Expórtelo de nuevo con neumo-train de esta "
        "versión.",
    )


class KnownAnswerWrong(BundleError):
    """The model loads, but doesn't give the answers it gave when it was measured."""

    code = "known_answer_wrong"
    advice = Text(
        "The bundle '{bundle}' answers known image {index} differently from its card (off by "
        "{difference:.4f}, allowed {tolerance:.4f}). This CPU or ONNX Runtime computes it "
        "differently: do not serve it here.",
        "El modelo '{bundle}' responde a la imagen conocida {index} de forma distinta a su ficha "
        "(diferencia {difference:.4f}, admitida {tolerance:.4f}). Esta CPU u ONNX Runtime la "
        "calcula de otro modo: no lo use aquí.",
    )


class AcceptanceMissing(BundleError):
    """The acceptance file isn't there, or can't be read."""

    code = "acceptance_missing"
    advice = Text(
        "The acceptance file '{file}' can't be read. Point NEUMO_ACCEPTANCE at the file that neumo "
        "accept wrote, or leave it empty.",
        "No se puede leer el archivo de aceptación '{file}'. Indique en NEUMO_ACCEPTANCE el que "
        "escribió neumo accept, o deje la variable vacía.",
    )


class AcceptanceMalformed(BundleError):
    """The acceptance file is not one this version understands."""

    code = "acceptance_malformed"
    advice = Text(
        "The acceptance file '{file}' can't be used: {reason}. Write it again with this version's "
        "neumo accept; don't change it by hand.",
        "No se puede usar el archivo de aceptación '{file}': {reason}. Escríbalo de nuevo con "
        "neumo accept de esta versión; no lo cambie a mano.",
    )


class AcceptanceMismatch(BundleError):
    """The acceptance was measured with another bundle than the one to be served."""

    code = "acceptance_mismatch"
    advice = Text(
        "The acceptance file '{file}' was measured with another model than '{bundle}': what it "
        "shows does not hold for this one. Measure again with neumo accept, serve the model that "
        "was measured (NEUMO_MODEL), or leave NEUMO_ACCEPTANCE empty.",
        "El archivo de aceptación '{file}' se midió con un modelo distinto de '{bundle}': lo que "
        "muestra no vale para este. Mida de nuevo con neumo accept, use el modelo que se midió "
        "(NEUMO_MODEL) o deje NEUMO_ACCEPTANCE vacío.",
    )


class BundleChanged(BundleError):
    """A bundle is not what another worker of this service has loaded under its name."""

    code = "bundle_changed"
    advice = Text(
        "The bundle '{bundle}' is not the one that the other workers loaded: its folder was "
        "changed while the service runs. Put the bundle back, or start the whole service anew; "
        "give a new bundle a new name.",
        "El modelo '{bundle}' no es el que cargaron los demás procesos: su carpeta cambió con el "
        "servicio en marcha. Restaure el modelo o reinicie el servicio entero; dé a un modelo "
        "nuevo un nombre nuevo.",
    )


class ChoiceUnusable(BundleError):
    """The file that keeps which model was chosen can't be read."""

    code = "choice_unusable"
    advice = Text(
        "The file '{file}' of NEUMO_MODEL_CHOICE can't be read, so which model was active is not "
        "known. Put it back, or delete it: then the one of NEUMO_MODEL is served.",
        "No se puede leer el archivo '{file}' de NEUMO_MODEL_CHOICE, y no se sabe qué modelo "
        "estaba activo. Restáurelo o bórrelo: entonces se sirve el de NEUMO_MODEL.",
    )


class SignatureMissing(BundleError):
    """Signatures are required, and the bundle has none."""

    code = "signature_missing"
    advice = Text(
        "The bundle '{bundle}' is not signed, and NEUMO_SIGNATURES_REQUIRED asks for it. Sign it "
        "with neumo models sign, where its private key is kept.",
        "El modelo '{bundle}' no está firmado y NEUMO_SIGNATURES_REQUIRED lo exige. Fírmelo con "
        "neumo models sign, donde se guarda la clave privada.",
    )


class SignatureWrong(BundleError):
    """The bundle's signature is not of these bytes, or not by a trusted key."""

    code = "signature_wrong"
    advice = Text(
        "The signature of the bundle '{bundle}' does not hold: {reason}. Do not serve it. Copy the "
        "whole bundle again, and ask who signed it.",
        "La firma del modelo '{bundle}' no es válida: {reason}. No lo sirva. Copie de nuevo el "
        "modelo completo y consulte a quien lo firmó.",
    )


class SignatureKeysUnusable(BundleError):
    """Signatures can't be checked: there are no keys to do it with."""

    code = "signature_keys_unusable"
    advice = Text(
        "Signatures can't be checked: {reason}. Point NEUMO_SIGNATURE_KEYS at a PEM file of "
        "Ed25519 public keys.",
        "No se pueden comprobar las firmas: {reason}. Indique en NEUMO_SIGNATURE_KEYS un archivo "
        "PEM de claves públicas Ed25519.",
    )
