"""Images that can not be read, or must not be."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import ClassVar

from app.errors.base_errors import NeumoError, RequestError
from app.language import Language, Text


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
    reasons: ClassVar[Mapping[str, Text]] = MappingProxyType(
        {
            "empty": Text("there are none", "no hay ninguna"),
            "undecodable": Text(
                "none of the files is a JPEG, PNG or DICOM file that can be decoded",
                "ningún archivo es un JPEG, PNG o DICOM que se pueda decodificar",
            ),
            "label_twice": Text(
                "a manifest tells the labels itself, so leave --label out",
                "el manifiesto ya indica las etiquetas, así que no use --label",
            ),
            "folder": Text("the folder can't be listed", "no se puede leer la carpeta"),
            "label": Text(
                "a label, or the name of a folder, is none of {known}",
                "una etiqueta, o el nombre de una carpeta, no es ninguna de {known}",
            ),
            "missing": Text(
                "there is no folder or manifest that can be read",
                "no hay carpeta ni manifiesto que se pueda leer",
            ),
            "columns": Text("no rows, or no column {lacking}", "no hay filas o falta {lacking}"),
        }
    )
    """By the fact `reason`."""

    faults: ClassVar[Mapping[str, Text]] = MappingProxyType(
        {
            "no_path": Text("no path in row {rows}", "falta path en la fila {rows}"),
            "no_label": Text("no known label in row {rows}", "label desconocida en la fila {rows}"),
            "age_years": Text(
                "age_years that can't be read in row {rows}", "age_years ilegible en la fila {rows}"
            ),
            "view": Text(
                "view that can't be read in row {rows}", "view ilegible en la fila {rows}"
            ),
        }
    )
    """Of a manifest's rows: each a fact, the rows."""

    def detail(self, language: Language) -> str:
        """Say in `language` what is wrong with the films, and what can be given."""
        found = [
            text.render(language, rows=self.facts[fault])
            for fault, text in self.faults.items()
            if fault in self.facts
        ]
        known = self.reasons.get(str(self.facts.get("reason")))
        if known:
            found.append(known.render(language, **self.facts))
        facts = self.facts | ({"reason": "; ".join(found)} if found else {})
        return self.advice.render(language, **facts)
