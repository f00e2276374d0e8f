"""app.model.bundle: what makes a model bundle fit to serve."""

import hashlib
import json
from pathlib import Path

import numpy as np
import pytest

import app
from app.errors import BundleError, BundleHashMismatch, BundleMalformed, BundleMissing
from app.model.bundle import find_bundle, read_bundle
from app.model.labels import LABEL_IDS
from tests.bundles import GRAPH, KNOWN_PIXELS, LABELS, make_card, write_bundle


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "somewhere" / "neumo-test-1"


def refusal(folder: Path) -> BundleError:
    with pytest.raises(BundleError) as caught:
        read_bundle(folder)
    return caught.value


def rewrite_card(folder: Path, text: str | bytes) -> None:
    (folder / "card.json").write_bytes(text if isinstance(text, bytes) else text.encode())


def test_a_valid_bundle_hands_on_its_card(folder: Path) -> None:
    card = read_bundle(write_bundle(folder, temperature=1.5)).card
    assert (card.name, card.version, card.temperature) == ("neumo-test-1", "1", 1.5)


def test_the_graph_handed_on_is_the_bytes_that_were_hashed(folder: Path) -> None:
    bundle = read_bundle(write_bundle(folder, b"other graph"))
    assert bundle.graph == b"other graph"
    assert hashlib.sha256(bundle.graph).hexdigest() == bundle.card.sha256


def test_the_card_is_kept_byte_for_byte(folder: Path) -> None:
    write_bundle(folder)
    text = json.dumps(make_card(), indent=3) + "\n\n"
    rewrite_card(folder, text)
    assert read_bundle(folder).card_json == text.encode()


def test_labels_keep_the_order_of_the_card(folder: Path) -> None:
    card = read_bundle(write_bundle(folder, labels=LABELS[::-1])).card
    assert [label.id for label in card.labels] == [
        "viral_pneumonia",
        "bacterial_pneumonia",
        "covid19",
        "normal",
    ]


@pytest.mark.parametrize("file", ["card.json", "model.onnx"])
def test_a_missing_file_is_named(folder: Path, file: str) -> None:
    (write_bundle(folder) / file).unlink()
    error = refusal(folder)
    assert isinstance(error, BundleMissing)
    assert error.facts == {"bundle": "neumo-test-1", "file": file}


def test_a_folder_that_is_not_there_is_a_missing_bundle(folder: Path) -> None:
    assert isinstance(refusal(folder), BundleMissing)


def test_a_folder_in_the_place_of_a_file_is_a_missing_file(folder: Path) -> None:
    (write_bundle(folder) / "model.onnx").unlink()
    (folder / "model.onnx").mkdir()
    assert isinstance(refusal(folder), BundleMissing)


def test_a_graph_changed_by_one_bit_is_refused(folder: Path) -> None:
    write_bundle(folder)
    (folder / "model.onnx").write_bytes(bytes([GRAPH[0] ^ 1]) + GRAPH[1:])
    error = refusal(folder)
    assert isinstance(error, BundleHashMismatch)
    assert error.facts == {"bundle": "neumo-test-1", "file": "model.onnx"}


AGES = {label: [{"low": 1, "high": 90}] for label in LABEL_IDS}
BACKWARD = {"low": 9, "high": 5}


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"bundle_format": 5}, "bundle_format is none of 1, 2, 3, 4"),
        (
            {"bundle_format": 1, "upright_threshold": 0.1},
            "upright_threshold needs a graph that tells orientation",
        ),
        ({"preprocessing": "grey8-224-lanczos-1"}, "preprocessing is not grey8-224-bilinear-1"),
        ({"labels": LABELS[:3]}, "labels are not the four"),
        ({"labels": [*LABELS, LABELS[0]]}, "labels are not the four"),
        ({"known_answers": []}, "no known answers"),
        ({"priors": {"normal": 0.5, "covid19": 0.5}}, "priors has not one entry for each label"),
        (
            {"operating_points": dict.fromkeys(LABEL_IDS[1:], 0.5)},
            "operating_points has not one entry for each label",
        ),
        (
            {"population": {"views": ["PA"], "age_years": {"normal": []}}},
            "population: Value error, age_years has not one entry for each label",
        ),
        (
            {"population": {"views": ["PA"], "age_years": AGES | {"covid19": [BACKWARD]}}},
            "population.age_years.covid19.0: Value error, low (9) is more than high (5)",
        ),
        ({"surprise": 1}, "surprise: Extra inputs are not permitted"),
        ({"temperature": float("nan")}, "temperature: Input should be a finite number"),
        ({"distance_threshold": float("inf")}, "distance_threshold: Input should be a finite"),
        ({"temperature": 0}, "temperature: Input should be greater than 0"),
        ({"operating_points": {"normal": 1.1}}, "operating_points.normal: Input should be less"),
        (
            {"known_answers": [{"pixels": KNOWN_PIXELS, "probabilities": [-0.1, 0, 0, 1.1]}]},
            "known_answers.0.probabilities.0: Input should be greater",
        ),
        (
            {"known_answers": [{"pixels": KNOWN_PIXELS, "probabilities": [1.0]}]},
            "known_answers.0.probabilities: List should have at least 4 items",
        ),
        (
            {"known_answers": [{"pixels": "AAAA", "probabilities": [1.0, 0, 0, 0]}]},
            "known_answers.0.pixels: Value error, not 28 x 28 bytes",
        ),
    ],
)
def test_a_card_outside_the_contract_is_refused_with_its_reason(
    folder: Path, changes: dict[str, object], reason: str
) -> None:
    error = refusal(write_bundle(folder, **changes))
    assert isinstance(error, BundleMalformed)
    assert reason in str(error)


def test_an_unknown_label_is_refused(folder: Path) -> None:
    labels = [*LABELS[:3], {"id": "tuberculosis", "en": "Tuberculosis", "es": "Tuberculosis"}]
    error = refusal(write_bundle(folder, labels=labels))
    assert "labels.3.id" in str(error)


@pytest.mark.parametrize("field", sorted(make_card()))
def test_every_field_of_the_card_is_required(folder: Path, field: str) -> None:
    write_bundle(folder)
    card = make_card()
    del card[field]
    rewrite_card(folder, json.dumps(card))
    assert f"{field}: Field required" in str(refusal(folder))


@pytest.mark.parametrize("text", [b"", b"{", b"[]", b"null", b"\xff\xfe", b"{}" * 2])
def test_a_card_that_is_not_one_json_object_is_malformed(folder: Path, text: bytes) -> None:
    write_bundle(folder)
    rewrite_card(folder, text)
    assert isinstance(refusal(folder), BundleMalformed)


def test_a_graph_with_the_mark_of_external_data_is_refused(folder: Path) -> None:
    # onnx.proto: TensorProto.external_data (13) holds {key (1): "location", value (2): file}
    entry = b"\x0a\x08location\x12\x0cweights.data"
    graph = b"graph" + b"\x6a" + bytes([len(entry)]) + entry
    error = refusal(write_bundle(folder, graph))
    assert error.facts["reason"] == "model.onnx keeps data outside the file"


def test_a_graph_that_onnx_itself_saved_with_external_data_is_refused(
    folder: Path, tmp_path: Path
) -> None:
    onnx = pytest.importorskip("onnx")
    weight = onnx.numpy_helper.from_array(np.zeros(64, np.float32), "weight")
    onnx.save_model(
        onnx.helper.make_model(onnx.helper.make_graph([], "graph", [], [], [weight])),
        tmp_path / "external.onnx",
        save_as_external_data=True,
        size_threshold=0,
    )
    error = refusal(write_bundle(folder, (tmp_path / "external.onnx").read_bytes()))
    assert error.facts["reason"] == "model.onnx keeps data outside the file"


def test_the_word_location_alone_does_not_refuse_a_graph(folder: Path) -> None:
    assert read_bundle(write_bundle(folder, b"node 'location'")).graph == b"node 'location'"


@pytest.mark.parametrize("fault", ["missing", "malformed", "hash", "external"])
def test_a_refusal_names_the_folder_but_not_where_it_lies(
    folder: Path, tmp_path: Path, fault: str
) -> None:
    write_bundle(folder, b"\n\x08location\x12" if fault == "external" else GRAPH)
    if fault == "missing":
        (folder / "card.json").unlink()
    elif fault == "malformed":
        rewrite_card(folder, "{}")
    elif fault == "hash":
        (folder / "model.onnx").write_bytes(b"")
    error = refusal(folder)
    for text in (error.detail("en"), error.detail("es")):
        assert "'neumo-test-1'" in text
        assert "somewhere" not in text
        assert str(tmp_path) not in text


def test_a_path_is_taken_as_given() -> None:
    assert find_bundle("elsewhere/neumo-test-1") == Path("elsewhere/neumo-test-1")


def test_a_name_is_looked_up_among_the_bundles_of_the_checkout() -> None:
    checkout = Path(app.__file__).parents[1]
    assert find_bundle("neumo-test-99") == checkout / "models" / "neumo-test-99"


def test_a_folder_at_hand_wins_over_a_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_bundle(tmp_path / "neumo-test-1")
    monkeypatch.chdir(tmp_path)
    assert find_bundle("neumo-test-1") == Path("neumo-test-1")
