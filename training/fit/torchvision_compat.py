"""Import torchvision where its compiled operators don't load.

torchvision's wheels are built for one build of torch. Beside another (a CPU-only torch with
a CUDA-built torchvision, say) the compiled operators stay unloaded, and ``import torchvision``
fails on ``operator torchvision::nms does not exist``, though ResNet needs none of them.
Declaring the two missing operators' schemas lets the import go on; calling them would still
fail, and Neumo never does.

Where the two builds match, `import_torchvision` is a plain import and declares nothing.
"""

import importlib
import sys
from typing import Any

import torch

_SCHEMAS = (
    "nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
    "qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
)
_declared: list[torch.library.Library] = []  # torch forgets a schema with its Library object


def import_torchvision() -> Any:  # noqa: ANN401 - the module ships no types
    """Return ``torchvision.models``, declaring missing operators only if the import fails."""
    try:
        return importlib.import_module("torchvision.models")
    except RuntimeError as error:
        if "torchvision::nms" not in str(error):
            raise
    for name in [name for name in sys.modules if name.partition(".")[0] == "torchvision"]:
        del sys.modules[name]  # half-imported
    library = torch.library.Library("torchvision", "DEF")  # type: ignore[no-untyped-call]
    for schema in _SCHEMAS:
        library.define(schema)  # type: ignore[no-untyped-call]
    _declared.append(library)
    return importlib.import_module("torchvision.models")
