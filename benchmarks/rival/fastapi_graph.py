"""FastAPI + Neumo's own graph, as a good engineer would serve it; MODEL names the file."""

import os

import numpy as np
import onnxruntime as ort
from fastapi import FastAPI, UploadFile
from PIL import Image
from preprocess import LABELS

options = ort.SessionOptions()
options.intra_op_num_threads = 1  # two workers share the cores
session = ort.InferenceSession(os.environ["MODEL"], options, providers=["CPUExecutionProvider"])
app = FastAPI()


@app.post("/predict")
def predict(file: UploadFile) -> dict[str, float]:
    """Answer with the graph's calibrated probabilities of the four labels."""
    grey = Image.open(file.file).convert("L").resize((224, 224))
    (probabilities,) = session.run(["probabilities"], {"image": np.asarray(grey)[None, None]})
    return dict(zip(LABELS, probabilities[0].tolist(), strict=True))
