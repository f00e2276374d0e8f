"""What share of a core's peak the network reaches, and where the rest of its time goes.

    .venv-dev/bin/python -m benchmarks.int8_peak

The peak is what `int8_peak.c` does: dot products of bytes (VNNI), and nothing else. The session
is the service's own, one thread, as many at a time as cores are busy, a process each. Peak and
session take turns. Time is CPU time of the core, so that others on the machine count for less.
Prints Markdown, and writes .work/int8_peak.json.
"""

import argparse
import json
import multiprocessing
import os
import re
import shutil
import statistics
import subprocess
import tempfile
import time
from collections import defaultdict
from dataclasses import dataclass
from multiprocessing.queues import SimpleQueue
from multiprocessing.synchronize import Barrier
from pathlib import Path
from typing import Any, Final

import numpy as np
import onnx
import onnxruntime as ort
from numpy.typing import NDArray

from app.model.bundle import find_bundle
from app.model.session import Network
from app.settings.settings import Settings

SOURCE: Final = Path(__file__).with_suffix(".c")
WORK: Final = Path(__file__).parent / ".work"
INSTRUCTIONS: Final = ("avx512_vnni", "avx_vnni")
"""CPU flags of the dot products that `int8_peak.c` knows, the wider first."""

_WEIGHTS: Final = {  # of each operator that multiplies and adds: which input are the weights
    "Conv": 1,
    "ConvInteger": 1,
    "QLinearConv": 3,
    "Gemm": 1,
    "MatMul": 1,
    "MatMulInteger": 1,
    "QLinearMatMul": 3,
}
_INTEGER: Final = frozenset(("ConvInteger", "QLinearConv", "MatMulInteger", "QLinearMatMul"))
_PROFILED_RUNS: Final = 100
_WARM_UP_RUNS: Final = 20
_SLOWEST: Final = 8
_LIMIT_S: Final = 120


class NoPeak(Exception):
    """The peak can't be measured here."""


@dataclass(frozen=True)
class Node:
    """An operator's multiply-adds for one image."""

    name: str
    products: int
    int8: bool


def count_products(model: onnx.ModelProto) -> list[Node]:
    """Count the multiply-adds of every convolution and matrix product, for one image.

    Those with the borders' zeros are counted too. A float operator whose image and weights both
    come from bytes (QDQ) is one of bytes: ONNX Runtime fuses it.
    """
    model = onnx.ModelProto.FromString(model.SerializeToString())
    model.graph.input[0].type.tensor_type.shape.dim[0].dim_value = 1
    graph = onnx.shape_inference.infer_shapes(model).graph
    shapes = {each.name: list(each.dims) for each in graph.initializer}
    for value in (*graph.value_info, *graph.input, *graph.output):
        shapes[value.name] = [dim.dim_value for dim in value.type.tensor_type.shape.dim]
    from_bytes = {out for n in graph.node if n.op_type == "DequantizeLinear" for out in n.output}
    nodes = []
    for node in graph.node:
        if node.op_type not in _WEIGHTS:
            continue
        weights = shapes[node.input[_WEIGHTS[node.op_type]]]
        convolution = "Conv" in node.op_type
        turned = any(each.name == "transB" and each.i for each in node.attribute)
        depth = np.prod(weights[1:]) if convolution else weights[-1 if turned else -2]
        products = int(np.prod(shapes[node.output[0]]) * depth)
        int8 = node.op_type in _INTEGER or from_bytes.issuperset(node.input[:2])
        nodes.append(Node(node.name or node.output[0], products, int8))
    return nodes


def find_instruction(cpu_info: Path = Path("/proc/cpuinfo")) -> str:
    """Return the widest dot product that the CPU's flags name, or raise `NoPeak`."""
    flags = set(re.findall(r"\w+", cpu_info.read_text()))
    for name in INSTRUCTIONS:
        if name in flags:
            return name
    raise NoPeak(f"the CPU's flags name none of {', '.join(INSTRUCTIONS)}")


def compile_peak(folder: Path) -> Path:
    """Compile `int8_peak.c` into a folder, or raise `NoPeak`."""
    compiler = shutil.which("gcc")
    if compiler is None:
        raise NoPeak("there is no gcc")
    program = folder / "int8_peak"
    command = [compiler, "-O2", "-o", str(program), str(SOURCE)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603
    if done.returncode:
        raise NoPeak(f"gcc does not compile {SOURCE.name}:\n{done.stderr}")
    return program


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--seconds", type=float, default=1, help="of each turn")
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    path = find_bundle(Settings().model) / "model.onnx"
    nodes = count_products(onnx.load(path))
    cpus = sorted(os.sched_getaffinity(0))[:2]
    results: dict[str, Any] = {
        "int8_products": sum(node.products for node in nodes if node.int8),
        "float32_products": sum(node.products for node in nodes if not node.int8),
    }
    with tempfile.TemporaryDirectory() as folder:
        program: Path | None
        try:
            instruction = find_instruction()
            program = compile_peak(Path(folder))
        except NoPeak as reason:
            print(f"No peak is measured: {reason}.\n")
            instruction, program = "none", None
        results["instruction"] = instruction
        for name, busy in (("one core", cpus[:1]), ("two cores", cpus)):
            results[name] = _measure(
                busy, path, program, instruction, options.seconds, options.rounds
            )
        results["nodes"] = profile(path, Path(folder))
    print(tables(results, nodes))
    WORK.mkdir(exist_ok=True)
    (WORK / "int8_peak.json").write_text(json.dumps(results, indent=1))


def _measure(
    cpus: list[int], path: Path, program: Path | None, instruction: str, seconds: float, rounds: int
) -> dict[str, float | None]:
    """Return the medians, over rounds and cores, of a core's peak and of a run's time."""
    context = multiprocessing.get_context("spawn")
    told: SimpleQueue[dict[str, list[float]]] = context.SimpleQueue()
    together = context.Barrier(len(cpus))
    peak = None if program is None else [str(program), instruction, str(seconds)]
    workers = [
        context.Process(target=_work, args=(cpu, path, peak, seconds, rounds, together, told))
        for cpu in cpus
    ]
    for worker in workers:
        worker.start()
    figures = [told.get() for _ in workers]
    for worker in workers:
        worker.join()
    return {
        name: statistics.median(value for each in figures for value in each[name])
        if figures[0][name]
        else None
        for name in figures[0]
    }


def _work(
    cpu: int,
    path: Path,
    peak: list[str] | None,
    seconds: float,
    rounds: int,
    together: Barrier,
    told: "SimpleQueue[dict[str, list[float]]]",
) -> None:
    """Take turns on one core: the peak, the session."""
    os.sched_setaffinity(0, {cpu})
    network = Network(path.read_bytes())
    image = draw_image()
    for _ in range(_WARM_UP_RUNS):
        network.run(image)
    figures: dict[str, list[float]] = {"peak": [], "run_ms": [], "run_cpu_ms": []}
    for _ in range(rounds):
        together.wait(_LIMIT_S)
        if peak is not None:
            done = subprocess.run(peak, capture_output=True, text=True, check=True)  # noqa: S603
            figures["peak"].append(float(done.stdout))
        together.wait(_LIMIT_S)
        times, begun_s, cpu_s = [], time.perf_counter(), time.process_time()
        while (started_s := time.perf_counter()) - begun_s < seconds:
            network.run(image)
            times.append(time.perf_counter() - started_s)
        figures["run_ms"].append(statistics.median(times) * 1000)
        figures["run_cpu_ms"].append((time.process_time() - cpu_s) / len(times) * 1000)
    told.put(figures)


def draw_image() -> NDArray[np.uint8]:
    """Return one image of noise: the time does not depend on what is on it."""
    return np.random.default_rng(0).integers(0, 256, (1, 1, 224, 224), dtype=np.uint8)


def served_options(*, threads: int = 1) -> ort.SessionOptions:
    """Return what `app.model.session` sets."""
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    return options


def profile(path: Path, folder: Path) -> list[tuple[str, str, float]]:
    """Return every node that runs, its operator and its median microseconds, in order."""
    options = served_options()
    options.enable_profiling = True
    options.profile_file_prefix = str(folder / "profile")
    session = ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    for _ in range(_PROFILED_RUNS):
        session.run(None, {"image": draw_image()})
    times: dict[tuple[str, str], list[float]] = defaultdict(list)
    for event in json.loads(Path(session.end_profiling()).read_text()):
        if event.get("cat") == "Node" and event["name"].endswith("_kernel_time"):
            name = re.sub(r"(_token_\d+)?_kernel_time$", "", event["name"])
            times[name, event["args"]["op_name"]].append(event["dur"])
    return [(name, kind, statistics.median(each)) for (name, kind), each in times.items()]


def tables(results: dict[str, Any], nodes: list[Node]) -> str:
    """Return what was measured as Markdown."""
    millions = {each: results[f"{each}_products"] / 1e6 for each in ("int8", "float32")}
    counted = f"{millions['int8']:.0f} in 8 bits, {millions['float32']:.2f} in float32"
    lines = [
        f"Million multiply-adds an image: {counted}. Instruction: {results['instruction']}.",
        "",
        "| | peak of a core, a second | a run | CPU a run | 8-bit multiply-adds a second | share |",
        "|---|---|---|---|---|---|",
    ]
    for busy in ("one core", "two cores"):
        each = results[busy]
        rate = results["int8_products"] / each["run_cpu_ms"] * 1000
        peak = f"{each['peak'] / 1e9:.0f} G" if each["peak"] else "not measured"
        share = f"{rate / each['peak']:.2f}" if each["peak"] else "not measured"
        lines.append(
            f"| {busy} busy | {peak} | {each['run_ms']:.2f} ms | {each['run_cpu_ms']:.2f} ms "
            f"| {rate / 1e9:.0f} G | {share} |"
        )
    timed: list[tuple[str, str, float]] = results["nodes"]
    whole = sum(time_us for _, _, time_us in timed)
    lines += ["", "| operator | nodes | time | share |", "|---|---|---|---|"]
    kinds = {kind: [us for _, each, us in timed if each == kind] for _, kind, _ in timed}
    for kind, each in sorted(kinds.items(), key=lambda item: -sum(item[1])):
        lines.append(f"| {kind} | {len(each)} | {sum(each):.0f} us | {sum(each) / whole:.1%} |")
    lines.append(f"| all | {len(timed)} | {whole:.0f} us | |")
    lines += ["", *_slowest(results, nodes)]
    return "\n".join(lines)


def _slowest(results: dict[str, Any], nodes: list[Node]) -> list[str]:
    """Return the 8-bit operators by what they take above the peak's time."""
    peak = results["one core"]["peak"]
    products = {node.name: node.products for node in nodes if node.int8}
    known = [(name, us, products[name]) for name, _, us in results["nodes"] if name in products]
    lost = sorted(known, key=lambda each: each[2] / peak * 1e6 - each[1] if peak else -each[1])
    lines = ["| 8-bit operator | million multiply-adds | time | G a second | share of the peak |"]
    lines.append("|---|---|---|---|---|")
    for name, us, count in lost[:_SLOWEST]:
        share = f"{count / us * 1e6 / peak:.2f}" if peak else "not measured"
        lines.append(
            f"| {name} | {count / 1e6:.1f} | {us:.0f} us | {count / us / 1e3:.0f} | {share} |"
        )
    return lines


if __name__ == "__main__":
    main()
