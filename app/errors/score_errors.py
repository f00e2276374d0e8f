"""Archives that can not be scored as it was asked for."""

from typing import ClassVar

from app.errors.base_errors import NeumoError
from app.language import Text


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
        "The last {films} film(s) could not be opened, nor any other that was tried: the place "
        "they lie in is gone, or no longer answers. What was read before them is written. Bring it "
        "back, and call the same again.",
        "No se pudieron abrir las últimas {films} radiografías, ni ninguna otra que se probó: el "
        "lugar donde están ha desaparecido o ya no responde. Lo leído antes está escrito. "
        "Restablézcalo y repita la misma orden.",
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


class ClusterUnusable(ScoreError):
    """The cluster of Ray can't be used."""

    exit_code = 3
    code = "cluster_unusable"
    advice = Text(
        "The cluster of Ray can't be used: {reason}. Check --ray-address, that its head answers, "
        "and that all nodes have the same version of Neumo and the same model.",
        "No se puede usar el clúster de Ray: {reason}. Compruebe --ray-address, que su nodo "
        "principal responde y que todos los nodos tienen la misma versión de Neumo y el mismo "
        "modelo.",
    )
