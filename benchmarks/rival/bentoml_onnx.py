"""BentoML with the same ONNX file, two workers; MODEL names it."""

import os
import sys
from pathlib import Path

import bentoml
import onnxruntime as ort
from PIL.Image import Image

sys.path.insert(0, str(Path(__file__).parent))
from preprocess import answer, preprocess


@bentoml.service(workers=2, traffic={"timeout": 30})
class Chest:
    """One call."""

    def __init__(self) -> None:
        options = ort.SessionOptions()
        options.intra_op_num_threads = 1
        self.session = ort.InferenceSession(
            os.environ["MODEL"], options, providers=["CPUExecutionProvider"]
        )

    @bentoml.api
    def predict(self, file: Image) -> dict[str, float]:
        """Answer with the shares of the four labels."""
        return answer(self.session.run(None, {"x": preprocess(file)})[0])
