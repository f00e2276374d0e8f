"""Import torchvision where its compiled operators don't load.

torchvision's wheels are built for one build of torch. Beside another (a CPU-only torch with
a CUDA-built torchvision, say) the compiled operators stay unloaded, and ``import torchvision``
fails on ``operator torchvision::nms does not exist``, though ResNet needs none of them. Declaring
the two missing operators' schemas lets the import go on: models, transforms and data sets work;
what needs the operators (``ops.nms``, ``io.read_image``) says that they couldn't be loaded.

`install` hooks that into the import itself, for this process. ``python -m
training.fit.torchvision_compat`` makes an environment do so at each start, so that a plain ``import
torchvision`` works in it, in a notebook too: a copy of this file and a ``.pth`` line that installs
it. So nothing here imports the rest of Neumo, or torch before torchvision is asked for. Where the
two builds match nothing is declared.
"""

import importlib
import shutil
import sys
import sysconfig
from collections.abc import Sequence
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from pathlib import Path
from types import ModuleType
from typing import Any

_SCHEMAS = (
    "nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
    "qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
)
_COPY = "neumo_torchvision"
_declared: list[Any] = []  # torch forgets a schema with its Library object


class _Finder(MetaPathFinder):
    """Finds torchvision where Python does, and loads it so that its operators may be missing."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Return the plain spec with another loader; of any other module nothing."""
        if fullname != "torchvision":
            return None
        spec = PathFinder.find_spec(fullname, path, target)
        if spec is not None and spec.loader is not None:
            spec.loader = _Loader(spec.loader)
        return spec


class _Loader(Loader):
    """Loads a module as another loader does; once more where only operators were missing."""

    def __init__(self, plain: Loader) -> None:
        self._plain = plain

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - whatever the plain loader has
        return getattr(self._plain, name)

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        """Return what the plain loader does."""
        return self._plain.create_module(spec)

    def exec_module(self, module: ModuleType) -> None:
        """Execute the module, the missing operators declared if it fails for want of them."""
        try:
            self._plain.exec_module(module)
        except RuntimeError as error:
            if "torchvision::nms" not in str(error):
                raise
        else:
            return
        for name in [name for name in sys.modules if name.startswith(f"{module.__name__}.")]:
            del sys.modules[name]  # half-imported
        _declare()
        self._plain.exec_module(module)


def install() -> None:
    """Let ``import torchvision`` work in this process, whatever build of torch is beside it."""
    if not any(type(finder).__name__ == _Finder.__name__ for finder in sys.meta_path):
        sys.meta_path.insert(0, _Finder())


def import_torchvision() -> Any:  # noqa: ANN401 - the module ships no types
    """Return ``torchvision.models``, declaring missing operators only if the import fails."""
    install()
    return importlib.import_module("torchvision.models")


def install_at_start(folder: Path) -> None:
    """Write into an environment's folder of packages what installs this at each start."""
    shutil.copyfile(__file__, folder / f"{_COPY}.py")
    line = f"import {_COPY}; {_COPY}.install()\n"
    (folder / f"{_COPY}.pth").write_text(line, encoding="utf-8")


def _declare() -> None:
    import torch  # noqa: PLC0415 - only where torchvision has just imported it

    library = torch.library.Library("torchvision", "DEF")  # type: ignore[no-untyped-call]
    for schema in _SCHEMAS:
        library.define(schema)  # type: ignore[no-untyped-call]
    _declared.append(library)


if __name__ == "__main__":
    install_at_start(Path(sysconfig.get_path("purelib")))
