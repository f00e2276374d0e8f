"""FastAPI + ONNX Runtime, as its guides do it; MODEL names the file."""

import os

import onnxruntime as ort
from fastapi import FastAPI, UploadFile
from preprocess import answer, read

options = ort.SessionOptions()
options.intra_op_num_threads = 1  # kinder than the default: two workers share the cores
session = ort.InferenceSession(os.environ["MODEL"], options, providers=["CPUExecutionProvider"])
app = FastAPI()


@app.post("/predict")
def predict(file: UploadFile) -> dict[str, float]:
    """Answer with the shares of the four labels."""
    (logits,) = session.run(None, {"x": read(file.file.read())})
    return answer(logits)
