"""Worker process of a benchmark: prepares and runs cases on request.

`operators.py` and `networks.py` start one for each environment (TensorFlow,
JAX, PyTorch) and interleave their cases. It is a script, not a module of
`training`, so that an environment needs only its own framework; requests and
responses are lines of JSON on standard input and output.
"""

import importlib
import json
import os
import pathlib
import sys
import time
from collections.abc import Callable

import numpy as np
from worker_setup import SEED  # beside this file

PEAK_SIZE = 2048
COPY_MB = 256


def main(prepare: Callable | None = None) -> None:
    """Serve the requests of the parent process.

    Args:
        prepare: function of a framework and a case to a function that runs
            it. Default: for operators and networks.
    """
    prepare = prepare or _prepare
    environment, cores, device = sys.argv[1], int(sys.argv[2]), sys.argv[3]
    answers = os.dup(1)
    os.dup2(2, 1)  # output of frameworks must not mix with responses
    module, options = FRAMEWORKS[environment]
    start = importlib.import_module(module).start
    framework = start(cores, device, **options)
    prepared: dict[str, object] = {}

    def answer(result) -> None:
        os.write(answers, json.dumps(result).encode() + b"\n")

    answer(framework.version)
    for line in sys.stdin:
        request = json.loads(line)
        try:
            answer(_serve(framework, prepare, prepared, **request))
        except Exception as error:  # printed by the parent
            answer({"error": f"{type(error).__name__}: {error}"[:300]})


def _serve(framework, prepare, prepared, do, key=None, case=None):
    if do == "prepare":
        prepared[key] = prepare(framework, case)
        first = prepared[key]()
        return first if isinstance(first, dict) else {}
    if do == "run":
        cpu, wall = time.process_time(), time.perf_counter()
        prepared[key]()
        return {
            "cpu_s": time.process_time() - cpu,
            "wall_s": time.perf_counter() - wall,
        }
    if do == "forget":
        prepared.clear()
        return {}
    return {"memory": _memory, "peak": _peak, "most": _most}[do](
        framework, case
    )


def _prepare(framework, case):
    if "network" in case:
        return framework.network(case)
    if "layer" in case:
        return framework.layer(case)
    return framework.operator(case, _arrays(case))


def _arrays(case) -> list:
    """Draw the arguments of a function, and the gradient of its value."""
    random = np.random.default_rng(SEED)
    n, m, d, batch = (case[key] for key in ("n", "m", "d", "batch"))

    def normal(*shape):
        return random.standard_normal((batch, *shape), dtype="float32")

    if case["function"] == "concatenation":
        return [normal(n), normal(m), normal(m, d), normal(n, d)]
    # Logits of size one, as after training.
    theta = normal(n, d) / np.float32(d**0.5)
    return [theta, normal(m, d), normal(m, d), normal(n, d)]


def _memory(framework, case):
    """Measure memory above that of a run on small inputs, in MB.

    Results and gradients count, inputs do not.
    """
    if "layer" in case:
        small = {**case, "shape": [1, 2, 4, 4, case["shape"][-1]]}
    else:
        small = {**case, "n": 256, "m": 256}
    _prepare(framework, small)()
    run = _prepare(framework, case)
    pathlib.Path("/proc/self/clear_refs").write_text("5")  # reset the peak
    before = _status("VmRSS")
    cpu, wall = time.process_time(), time.perf_counter()
    results = run()
    times = {
        "cpu_s": time.process_time() - cpu,
        "wall_s": time.perf_counter() - wall,
    }
    finite = all(framework.is_finite(x) for x in results)
    return {"growth_mb": _status("VmHWM") - before, "finite": finite, **times}


def _most(framework, case):
    """Measure the peak memory of a process that runs only the case, in MB."""
    run = _prepare(framework, case)
    run()
    wall = time.perf_counter()
    results = run()
    wall = time.perf_counter() - wall
    finite = all(framework.is_finite(x) for x in results)
    return {"peak_mb": _status("VmHWM"), "finite": finite, "wall_s": wall}


def _status(field):
    status = pathlib.Path("/proc/self/status").read_text()
    line = next(x for x in status.splitlines() if x.startswith(field + ":"))
    return int(line.split()[1]) / 1024


def _peak(framework, case):
    """Measure GF/s of a matrix product, and GB/s of an addition."""
    random = np.random.default_rng(SEED)
    square = random.standard_normal((PEAK_SIZE, PEAK_SIZE), dtype="float32")
    vector = np.zeros(COPY_MB * 2**18, "float32")
    product = framework.function(lambda x: x @ x, [square], case["dtype"])
    copy = framework.function(lambda x: x + 1, [vector], case["dtype"])
    clock = time.process_time if case["clock"] == "cpu_s" else time.perf_counter
    seconds = []
    for run in (product, copy):
        run()
        turns = []
        for _ in range(7):
            start = clock()
            run()
            turns.append(clock() - start)
        seconds.append(min(turns))
    width = 4 if case["dtype"] == "float32" else 2
    return {
        "gflops": 2 * PEAK_SIZE**3 / seconds[0] / 1e9,
        "gbytes": 2 * vector.size * width / seconds[1] / 1e9,
    }


# Module and options of each environment.
FRAMEWORKS: dict[str, tuple[str, dict]] = {
    "tf": ("tensorflow_worker", {}),
    "tf without oneDNN": ("tensorflow_worker", {"onednn": "0"}),
    "jax": ("jax_worker", {}),
    "torch": ("torch_worker", {}),
}


def add_paths() -> None:
    """Make `nonlocal_tf` and `training` importable, also if not installed.

    The folder of this file comes last, so that its names do not hide others.
    """
    folder = pathlib.Path(__file__).resolve().parent
    sys.path[0] = str(folder.parent.parent)
    sys.path.append(str(folder))


if __name__ == "__main__":
    add_paths()
    main()
