"""Whether ONNX Runtime's options make a run quicker than as it is served: all in turn.

    .venv-dev/bin/python -m benchmarks.session_options

Every round runs each session some times on one core; a variant's figure is the median of the
rounds' ratios of CPU time to the served one's, with the least and the most. "as served, again"
tells how much of that is chance.
"""

import argparse
import os
import statistics
import time
from collections.abc import Callable
from typing import Final

import onnxruntime as ort

from app.model.bundle import find_bundle
from app.settings.settings import Settings
from benchmarks.int8_peak import draw_image, served_options

SERVED: Final = "as served"
_ERRORS: Final = 3
_ENTRIES: Final = {  # by variant: what is set beside what the service sets
    "spinning allowed": ("session.intra_op.allow_spinning", "1"),
    "denormals as zero": ("session.set_denormal_as_zero", "1"),
    "quantisation pairs cleaned up": ("session.enable_quant_qdq_cleanup", "1"),
    "weights packed at first use": ("session.disable_prepacking", "1"),
    "weights outside the arena": ("session.use_device_allocator_for_initializers", "1"),
}


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--runs", type=int, default=40, help="of each variant, in each round")
    parser.add_argument("--variants", nargs="+", help="these only, beside the served ones")
    options = parser.parse_args()
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    graph = (find_bundle(Settings().model) / "model.onnx").read_bytes()
    variants = {
        name: run
        for name, run in make_variants(graph).items()
        if options.variants is None or name.startswith(SERVED) or name in options.variants
    }
    for run in variants.values():
        _time(run, options.runs)
    times: dict[str, list[tuple[float, float]]] = {name: [] for name in variants}
    for _ in range(options.rounds):
        for name, run in variants.items():
            times[name].append(_time(run, options.runs))
    print("| | a run | CPU a run | CPU / as served | rounds |\n|---|---|---|---|---|")
    for name, each in times.items():
        wall, cpu = (statistics.median(values) for values in zip(*each, strict=True))
        ratios = [mine[1] / served[1] for mine, served in zip(each, times[SERVED], strict=True)]
        print(
            f"| {name} | {wall:.2f} ms | {cpu:.2f} ms | {statistics.median(ratios):.3f} "
            f"| {min(ratios):.3f} to {max(ratios):.3f} |"
        )


def make_variants(graph: bytes) -> dict[str, Callable[[], object]]:
    """Return by name what runs the network once."""
    image = {"image": draw_image()}
    sessions = {name: _session(graph, served_options()) for name in (SERVED, f"{SERVED}, again")}
    for name, entry in _ENTRIES.items():
        options = served_options()
        ort.set_default_logger_severity(_ERRORS)  # it warns of what is set anew
        options.add_session_config_entry(*entry)
        sessions[name] = _session(graph, options)
    for name, attribute in (
        ("no arena", "enable_cpu_mem_arena"),
        ("no plan", "enable_mem_pattern"),
    ):
        options = served_options()
        setattr(options, attribute, False)
        sessions[name] = _session(graph, options)
    variants: dict[str, Callable[[], object]] = {}
    for name, session in sessions.items():
        variants[name] = lambda session=session: session.run(None, image)
    bound = _session(graph, served_options())
    binding = bound.io_binding()
    binding.bind_cpu_input("image", image["image"])
    for output in bound.get_outputs():
        shape = [1, *output.shape[1:]]
        value = ort.OrtValue.ortvalue_from_shape_and_type(shape, "float32")
        binding.bind_ortvalue_output(output.name, value)
    variants["inputs and outputs bound"] = lambda: bound.run_with_iobinding(binding)
    return variants


def _session(graph: bytes, options: ort.SessionOptions) -> ort.InferenceSession:
    return ort.InferenceSession(graph, options, providers=["CPUExecutionProvider"])


def _time(run: Callable[[], object], runs: int) -> tuple[float, float]:
    """Return the milliseconds of a run, and those of CPU time."""
    wall_s, cpu_s = time.perf_counter(), time.process_time()
    for _ in range(runs):
        run()
    return (time.perf_counter() - wall_s) / runs * 1000, (time.process_time() - cpu_s) / runs * 1000


if __name__ == "__main__":
    main()
