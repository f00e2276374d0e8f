"""Calls that can not be answered as they were sent, or not now."""

import math
from collections.abc import Mapping
from types import MappingProxyType

from app.errors.base_errors import RequestError
from app.language import Text


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
            "related_boundary": Text(
                "The Content-Type multipart/related names no usable boundary. Let the DICOMweb "
                "library write this header itself.",
                "El Content-Type multipart/related no indica un boundary utilizable. Deje que la "
                "biblioteca DICOMweb escriba esta cabecera.",
            ),
            "related_syntax": Text(
                "The parts of multipart/related could not be told apart: their headers or "
                "boundaries are broken. Let a DICOMweb library write the body.",
                "No se pudieron separar las partes de multipart/related: sus cabeceras o "
                "boundaries son incorrectos. Deje que una biblioteca DICOMweb escriba el cuerpo.",
            ),
            "related_incomplete": Text(
                "The body ends before its closing boundary, or its boundary is not the one that "
                "Content-Type names. Send it again, whole: what was stored stays stored.",
                "El cuerpo termina antes de su boundary final, o su boundary no es el que indica "
                "Content-Type. Envíelo de nuevo, completo: lo guardado sigue guardado.",
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
            "parts": Text(
                "One call takes at most {max_files} instances. Send them in groups of so many.",
                "Una petición admite como máximo {max_files} instancias. Envíelas en grupos.",
            ),
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


class NotAcceptable(RequestError):
    """The caller takes no media type that there is."""

    status = 406
    code = "not_acceptable"
    title = Text("Not acceptable", "Ningún formato aceptable")
    advice = Text(
        "There is no representation that the Accept header takes. There are: {types}.",
        "No hay ninguna representación que la cabecera Accept admita. Hay: {types}.",
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
            "not_related": Text(
                "This call takes multipart/related with parts of application/dicom, or one "
                "instance as application/dicom. Metadata apart from its pixels is not taken.",
                "Esta llamada admite multipart/related con partes de application/dicom, o una "
                "instancia como application/dicom. No admite metadatos separados de sus píxeles.",
            ),
            "part_not_dicom": Text(
                "A part is no application/dicom. Send whole DICOM files (PS3.10), each as a part "
                "with Content-Type application/dicom.",
                "Una parte no es application/dicom. Envíe archivos DICOM completos (PS3.10), cada "
                "uno como una parte con Content-Type application/dicom.",
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
