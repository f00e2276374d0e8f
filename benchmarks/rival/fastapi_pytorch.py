"""FastAPI + eager PyTorch, as the usual tutorial does it; MODEL names the weights."""

import os

import torch
from fastapi import FastAPI, UploadFile
from preprocess import answer, read

from training.fit.torchvision_compat import import_torchvision

torch.set_num_threads(len(os.sched_getaffinity(0)))  # kinder: its default may count other CPUs
model = import_torchvision().resnet18(num_classes=4)
model.load_state_dict(torch.load(os.environ["MODEL"]))
model.eval()
app = FastAPI()


@app.post("/predict")
async def predict(file: UploadFile) -> dict[str, float]:
    """Answer with the shares of the four labels."""
    with torch.no_grad():
        logits = model(torch.from_numpy(read(await file.read())))
    return answer(logits.numpy())
