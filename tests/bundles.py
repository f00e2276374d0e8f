"""Model bundles for tests: a valid card, and a folder that holds it."""

import base64
import hashlib
import json
from pathlib import Path

from app.image.resize import PREPROCESSING
from app.model.bundle import FP32_FILE, read_bundle
from app.model.card import BUNDLE_FORMAT
from app.model.labels import LABEL_IDS

KNOWN_PIXELS = base64.b64encode(bytes(28 * 28)).decode()
GRAPH = b"the bytes of a graph"
_OTHER_NAME = b"neumo-fp32"
LABELS = [{"id": label_id, "en": label_id.upper(), "es": label_id} for label_id in LABEL_IDS]


def make_card(graph: bytes = GRAPH, /, **changes: object) -> dict[str, object]:
    """Return the content of a valid card.json for `graph`, with `changes` laid over it."""
    interval = {"value": 0.9, "low": 0.8, "high": 0.95}
    per_label = dict.fromkeys(LABEL_IDS, interval)
    card: dict[str, object] = {
        "bundle_format": BUNDLE_FORMAT,
        "name": "neumo-test-1",
        "version": "1",
        "licence": "not stated",
        "intended_use": "tests",
        "limitations": [],
        "labels": LABELS,
        "sha256": hashlib.sha256(graph).hexdigest(),
        "preprocessing": PREPROCESSING,
        "temperature": 1.0,
        "operating_points": None,
        "distance_threshold": None,
        "training": {
            "strategy": "finetune",
            "starting_weights": "random",
            "epochs": 1,
            "best_epoch": 1,
            "seed": 0,
            "data": [{"source": "drawn", "licence": "none", "images": {"normal": 2}}],
            "command": "neumo-train",
            "commit": "0000000",
            "date": "2025-01-01",
            "environment": {},
            "duration_s": 1.0,
        },
        "metrics": {
            "test": {
                "images": 8,
                "patients": 8,
                "accuracy": interval,
                "balanced_accuracy": interval,
                "macro_auroc": interval,
                "sensitivity": per_label,
                "specificity": per_label,
                "auroc": per_label,
                "nll": 0.5,
                "confusion": [[2, 0, 0, 0], [0, 2, 0, 0], [0, 0, 2, 0], [0, 0, 0, 2]],
                "accuracy_by_source": {"drawn": 1.0},
            }
        },
        "known_answers": [{"pixels": KNOWN_PIXELS, "probabilities": [0.25, 0.25, 0.25, 0.25]}],
        "known_answer_tolerance": 0.01,
    }
    return card | changes


def make_certainty(**changes: object) -> dict[str, object]:
    """Return the content of a certainty, with `changes` laid over it."""
    certainty: dict[str, object] = {
        "floors": dict.fromkeys(LABEL_IDS, 0.5),
        "margin": 0.0,
        "chosen_on": "held_out_sources",
        "risk": 0.05,
        "answered": {"value": 0.8, "low": 0.7, "high": 0.9},
        "wrong": {"value": 0.01, "low": 0.0, "high": 0.05},
    }
    return certainty | changes


def make_acceptance(graph: bytes = GRAPH, /, **changes: object) -> dict[str, object]:
    """Return the content of an acceptance file of the bundle of `graph`, changed likewise."""
    rate = {"value": 0.1, "low": 0.05, "high": 0.2}
    figures = {
        "refused": rate, "false_alarms": {"covid19": rate},
        "confident_false_alarms": {"covid19": rate},
        "sensitivity": {"normal": rate}, "answered": rate, "wrong": rate,
    }  # fmt: skip
    acceptance: dict[str, object] = {
        "acceptance_format": 1,
        "model": "neumo-test-1",
        "sha256": hashlib.sha256(graph).hexdigest(),
        "neumo": "0.1.0",
        "site": "North wing",
        "date": "2026-11-28",
        "images": 100,
        "patients": 100,
        "images_by_label": {"normal": 100},
        "unreadable": [],
        "repeated": [],
        "by_card": figures,
        "by_site": figures,
        "drift": {
            "median_distance": 0.4, "distance_95": 0.9, "card_refused": None,
            "card_answered": None, "card_sensitivity": {},
        },
        "certainty": make_certainty(chosen_on="site"),
        "why_not": None,
        "temperature": None,
    }  # fmt: skip
    if changes.get("certainty", True) is None:
        acceptance["why_not"] = "too_few_films"
    return acceptance | changes


def write_bundle(folder: Path, graph: bytes = GRAPH, /, **changes: object) -> Path:
    """Write model.onnx and a card (see `make_card`) into `folder`; return `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "model.onnx").write_bytes(graph)
    (folder / "card.json").write_text(json.dumps(make_card(graph, **changes)), encoding="utf-8")
    return folder


def add_fp32(folder: Path) -> None:
    """Put a second graph in float32's place: the same one, under another producer's name."""
    graph = (folder / "model.onnx").read_bytes()
    # ONNX's protobuf takes a field more than once, the last one counts: 2 is producer_name.
    graph += bytes([0x12, len(_OTHER_NAME)]) + _OTHER_NAME
    (folder / FP32_FILE).write_bytes(graph)
    write_fp32(
        folder, graph, [each.probabilities for each in read_bundle(folder).card.known_answers]
    )


def write_fp32(folder: Path, graph: bytes, known: list[list[float]]) -> None:
    """Have the card tell of a float32 graph and its known answers."""
    card = json.loads((folder / "card.json").read_text())
    sha256 = hashlib.sha256(graph).hexdigest()
    card["fp32"] = {"sha256": sha256, "known_probabilities": known}
    (folder / "card.json").write_text(json.dumps(card))
