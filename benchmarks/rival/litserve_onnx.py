"""LitServe with the same ONNX file, two workers; MODEL names it, PORT where to listen."""

import os
import sys
from pathlib import Path

import litserve
import numpy as np
import onnxruntime as ort
from fastapi import UploadFile

sys.path.insert(0, str(Path(__file__).parent))  # its workers are spawned
from preprocess import answer, read


class Api(litserve.LitAPI):
    """The four steps that LitServe asks for."""

    def setup(self, device: str) -> None:  # noqa: ARG002 - LitServe's
        """Load the model in a worker."""
        options = ort.SessionOptions()
        options.intra_op_num_threads = 1
        self.session = ort.InferenceSession(
            os.environ["MODEL"], options, providers=["CPUExecutionProvider"]
        )

    def decode_request(self, request: UploadFile) -> np.ndarray:
        """Read the form's file."""
        return read(request.file.read())

    def predict(self, x: np.ndarray) -> np.ndarray:
        """Run the network."""
        return self.session.run(None, {"x": x})[0]

    def encode_response(self, output: np.ndarray) -> dict[str, float]:
        """Name the shares."""
        return answer(output)


if __name__ == "__main__":
    server = litserve.LitServer(Api(), accelerator="cpu", workers_per_device=2)
    server.run(host="127.0.0.1", port=int(os.environ["PORT"]), generate_client_file=False)
