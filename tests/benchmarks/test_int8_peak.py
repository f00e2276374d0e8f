"""benchmarks.int8_peak: multiply-adds counted by hand, and a peak that says when there is none."""

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from app.model.bundle import find_bundle
from app.settings.settings import Settings
from benchmarks import int8_peak
from benchmarks.int8_peak import (
    Node,
    NoPeak,
    compile_peak,
    count_products,
    find_instruction,
    tables,
)


def graph() -> onnx.ModelProto:
    """Bytes [N, 4, 8, 8], a 3 x 3 convolution to 6 channels by bytes, one of floats, a product."""
    weights = {
        "bytes": np.ones((6, 2, 3, 3), np.int8),  # of two groups
        "floats": np.ones((5, 6, 1, 1), np.float32),
        "scale": np.array(0.5, np.float32),
        "table": np.ones((320, 7), np.float32),
    }
    nodes = [
        helper.make_node("DequantizeLinear", ["image", "scale"], ["x"]),
        helper.make_node("DequantizeLinear", ["bytes", "scale"], ["w"]),
        helper.make_node("Conv", ["x", "w"], ["y"], "first", pads=[1, 1, 1, 1], group=2),
        helper.make_node("Conv", ["y", "floats"], ["z"], "second"),
        helper.make_node("Flatten", ["z"], ["flat"]),
        helper.make_node("MatMul", ["flat", "table"], ["out"], "third"),
    ]
    return helper.make_model(
        helper.make_graph(
            nodes,
            "small",
            [helper.make_tensor_value_info("image", TensorProto.UINT8, ["N", 4, 8, 8])],
            [helper.make_tensor_value_info("out", TensorProto.FLOAT, ["N", 7])],
            [numpy_helper.from_array(value, name) for name, value in weights.items()],
        ),
        opset_imports=[helper.make_opsetid("", 18)],
    )


def test_multiply_adds_are_counted_for_one_image() -> None:
    assert count_products(graph()) == [
        Node("first", 8 * 8 * 6 * 2 * 3 * 3, int8=True),
        Node("second", 8 * 8 * 5 * 6, int8=False),
        Node("third", 320 * 7, int8=False),
    ]


def test_the_served_network_is_a_resnet_18_of_bytes() -> None:
    nodes = count_products(onnx.load(find_bundle(Settings().model) / "model.onnx"))
    int8 = [node.products for node in nodes if node.int8]
    assert len(int8) == 20
    assert int8[0] == 80 * 80 * 64 * 4 * 4 * 4  # blocks of the first convolution
    assert int8[1] == 40 * 40 * 64 * 64 * 3 * 3
    assert sum(int8) > 0.999 * sum(node.products for node in nodes)


def test_the_widest_dot_product_is_found_in_the_cpus_flags(tmp_path: Path) -> None:
    info = tmp_path / "cpuinfo"
    info.write_text("flags : avx2 avx_vnni avx512_vnni\n")
    assert find_instruction(info) == "avx512_vnni"
    info.write_text("flags : avx2 avx_vnni\n")
    assert find_instruction(info) == "avx_vnni"
    info.write_text("flags : avx2\n")
    with pytest.raises(NoPeak, match="name none of avx512_vnni, avx_vnni"):
        find_instruction(info)


def test_without_a_compiler_it_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(int8_peak.shutil, "which", lambda _: None)
    with pytest.raises(NoPeak, match="no gcc"):
        compile_peak(tmp_path)


def test_the_share_is_of_the_cores_own_peak() -> None:
    busy = {"peak": 500e9, "run_ms": 5.5, "run_cpu_ms": 5.0}
    results = {
        "instruction": "avx512_vnni",
        "int8_products": 1_750_000_000,
        "float32_products": 400_000,
        "one core": busy,
        "two cores": busy | {"peak": None},
        "nodes": [("first", "QLinearConv", 300.0), ("pool", "MaxPool", 100.0)],
    }
    text = tables(results, [Node("first", 60_000_000, int8=True)])
    assert "| one core busy | 500 G | 5.50 ms | 5.00 ms | 350 G | 0.70 |" in text
    assert "| two cores busy | not measured | 5.50 ms | 5.00 ms | 350 G | not measured |" in text
    assert "| QLinearConv | 1 | 300 us | 75.0% |" in text
    assert "| first | 60.0 | 300 us | 200 | 0.40 |" in text
