"""Models: bundles that must not be served, and switches that were not made."""

from types import MappingProxyType
from typing import ClassVar

from app.errors.base_errors import NeumoError, RequestError
from app.language import Text


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


class AcceptancePriorsMismatch(BundleError):
    """The acceptance was measured with other priors than those to be served with."""

    code = "acceptance_priors_mismatch"
    advice = Text(
        "The acceptance file '{file}' was measured with other priors of '{bundle}' than those that "
        "NEUMO_PRIORS now asks for: other labels are called, and what it shows does not hold. Set "
        "NEUMO_PRIORS as it was at neumo accept ({measured}), measure again with it, or leave "
        "NEUMO_ACCEPTANCE empty.",
        "El archivo de aceptación '{file}' se midió con otras prevalencias de '{bundle}' que las "
        "que ahora pide NEUMO_PRIORS: las respuestas son otras y lo que muestra no vale. Ponga "
        "NEUMO_PRIORS como estaba con neumo accept ({measured}), mida de nuevo con la actual o "
        "deje NEUMO_ACCEPTANCE vacío.",
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
