"""What every rendering of a Reading says to people, in their language."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from app.language import Text
from app.reading.judge import ReasonCode
from app.reading.population import WarningCode

NOT_A_DEVICE: Final = Text("Not a medical device.", "No es un producto sanitario.")
RESEARCH_ONLY: Final = Text(
    "The weights that come with Neumo are for research use only.",
    "Los pesos que acompañan a Neumo son solo para investigación.",
)
_MEANING: Final = Text(
    "Decision support, not a diagnosis. Only COVID-19, bacterial and viral pneumonia are looked "
    "for: 'normal' means none of these three, not healthy. No other finding is looked for.",
    "Ayuda a la decisión, no es un diagnóstico. Solo se buscan COVID-19, neumonía bacteriana y "
    "vírica: «normal» significa ninguna de las tres, no sano. No se busca ningún otro hallazgo.",
)
NOTICE: Final = Text(
    f"{NOT_A_DEVICE.en} {RESEARCH_ONLY.en} {_MEANING.en}",
    f"{NOT_A_DEVICE.es} {RESEARCH_ONLY.es} {_MEANING.es}",
)
"""What stands in every answer."""

_OTHER_AGES: Final = Text(
    "The model knows this label from patients of other ages only.",
    "El modelo conoce esta etiqueta solo de pacientes de otras edades.",
)
_OTHER_VIEWS: Final = Text(
    "The model has not learned from radiographs in this view.",
    "El modelo no ha aprendido de radiografías en esta proyección.",
)
WARNINGS: Final[Mapping[WarningCode, Text]] = MappingProxyType(
    {
        "population_unknown": Text(
            "It is not known whether this model has learned from patients like this one: the "
            "patient's age was not given, or the model does not say whom it knows. Send the fields "
            "'age_years' and 'view'.",
            "No se sabe si el modelo ha aprendido de pacientes como este: no se indicó la edad del "
            "paciente, o el modelo no dice a quiénes conoce. Envíe los campos 'age_years' y "
            "'view'.",
        ),
        "age_outside_population": _OTHER_AGES,
        "site_not_validated": Text(
            "Nobody has shown that this model can be relied on at this hospital: hospitals' films "
            "differ, and so do its errors. Measure it on your own films with 'neumo accept'.",
            "Nadie ha mostrado que se pueda confiar en este modelo en este hospital: las "
            "radiografías difieren entre hospitales, y sus errores también. Mídalo con las suyas "
            "mediante 'neumo accept'.",
        ),
        "tags_contradict": Text(
            "The DICOM file contradicts what was sent with it of age or view, or itself: its view "
            "and how it says that the film lies. What was sent was used.",
            "El archivo DICOM contradice la edad o la proyección que se enviaron con él, o a sí "
            "mismo: su proyección y cómo dice que está la radiografía. Se usó lo enviado.",
        ),
        "body_part_not_chest": Text(
            "The DICOM file says that it shows another part of the body than the chest.",
            "El archivo DICOM dice que muestra otra parte del cuerpo que el tórax.",
        ),
        "modality_not_radiograph": Text(
            "The DICOM file says that it is of another modality than a radiograph's (CR, DX).",
            "El archivo DICOM dice que es de otra modalidad que la de una radiografía (CR, DX).",
        ),
        "unknown_field": Text(
            "The request has a field or parameter that is not known and was not used. Of the "
            "patient only 'age_years' and 'view' are read.",
            "La petición trae un campo o parámetro desconocido que no se ha usado. Del paciente "
            "solo se leen 'age_years' y 'view'.",
        ),
        "view_outside_population": _OTHER_VIEWS,
    }
)

REASONS: Final[Mapping[ReasonCode, Text]] = MappingProxyType(
    {
        "low_confidence": Text(
            "The likeliest label is not likely enough to rely on.",
            "La etiqueta más probable no lo es lo bastante para fiarse de ella.",
        ),
        "close_call": Text(
            "Another label is too likely as well: see 'candidates'.",
            "Otra etiqueta es también demasiado probable: véase 'candidates'.",
        ),
        "pneumonia_kind_unknown": Text(
            "Pneumonia other than COVID-19; which kind is uncertain: of patients of this age, or "
            "where no age was given, the model can't tell bacterial from viral.",
            "Neumonía distinta de COVID-19; el tipo es incierto: en pacientes de esta edad, o si "
            "no se indicó la edad, el modelo no distingue la bacteriana de la vírica.",
        ),
        "age_outside_population": _OTHER_AGES,
        "view_outside_population": _OTHER_VIEWS,
    }
)
"""Why an answer is uncertain."""

NO_LABEL: Final = Text("Uncertain: no label is called.", "Incierto: no se da ninguna etiqueta.")
"""What is said instead of a label where the answer is uncertain."""
