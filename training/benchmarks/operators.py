"""Our functions beside the plain form, Keras' attention and PyTorch.

    python -m training.benchmarks.operators                  # half an hour
    python -m training.benchmarks.operators --only softmax --rounds 3
    python -m training.benchmarks.operators --device gpu     # JAX and PyTorch
    python -m training.benchmarks.operators --torch-python OTHER/bin/python

Cases of a shape are interleaved; a ratio is the median over the rounds of
(time of the base) / (time of the case) in the same round. Times are CPU times
on `--cores` cores, on a GPU wall-clock times. Memory is measured in a separate
process for each case.
"""

import argparse
import json
import os
import statistics
import sys
from collections.abc import Iterator

from . import command
from .operators_tables import render
from .turns import Worker, installed_workers, interleave, machine, name_of, tell

# n, m, d: res4 and res3 of the paper at 8 frames, with and without subsampling,
# and clips of 16 times the positions.
SHAPES = (
    (784, 196, 512),
    (784, 784, 512),
    (3136, 784, 256),
    (3136, 3136, 256),
    (12544, 3136, 256),
    (12544, 12544, 256),
    (50176, 50176, 256),
)
LARGEST_SOFTMAX = 12544 * 3136  # larger ones take minutes a round
LARGEST_PLAIN = 12544 * 12544  # a matrix of the next size is 10 GB
SMALLEST_MEMORY = 3136 * 3136  # smaller ones are lost in the noise
ENVIRONMENTS = ("tf", "jax", "torch")
GPU_POSITIONS = (3136, 12544, 25088, 50176)
GPU_LARGEST_PLAIN = 12544**2
# environment, XLA, method: the first is the base of the ratios.
CASES = {
    "concatenation": (
        ("tf", False, "plain"),
        ("tf", False, "auto"),
        ("tf", True, "auto"),
        ("jax", True, "auto"),
        ("torch", False, "plain"),
        ("torch", False, "compiled"),
    ),
    "dot_product": (
        ("tf", False, "plain"),
        ("tf", False, "auto"),
        ("tf", True, "auto"),
        ("jax", True, "auto"),
        ("torch", False, "plain"),
        ("torch", False, "associative"),
        ("torch", False, "compiled"),
    ),
    "softmax": (
        ("tf", False, "plain"),
        ("tf", False, "auto"),
        ("tf", False, "chunked"),
        ("tf", True, "chunked"),
        ("tf", False, "attention"),
        ("jax", True, "auto"),
        ("torch", False, "plain"),
        ("torch", False, "sdpa"),
        ("torch", False, "compiled"),
    ),
}
GPU_CASES = {
    "concatenation": (("plain", "jax"), ("auto", "jax")),
    "dot_product": (("plain", "jax"), ("auto", "jax"), ("plain", "torch")),
    "softmax": (
        ("plain", "jax"),
        ("chunked", "jax"),
        ("auto", "jax"),
        ("plain", "torch"),
        ("sdpa", "torch"),
    ),
}
FUNCTIONS = ("gaussian", "embedded_gaussian", "dot_product", "concatenation")
# A clip of 128 frames at res3: 64 maps of 28 x 28, 512 channels.
LONG_CLIP = (1, 64, 28, 28, 512)
BLOCKS = {"res3": (1, 4, 28, 28, 512), "res4": (1, 4, 14, 14, 1024)}
PEERS = (("tf", "ours"), ("torch", "modules"), ("torch", "compiled"))
PARTS = ("theta", "phi", "g", "pool", "pairwise", "out", "bn", "add")


def main() -> None:
    """Command line of `python -m training.benchmarks.operators`."""
    parser = command.parser(__doc__)
    parser.add_argument(
        "--only",
        choices=[*CASES, "block", "long"],
        help="with --out, keep the other results of the file",
    )
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--cores", type=int, default=1)
    parser.add_argument(
        "--torch-python",
        type=os.path.expanduser,
        default=sys.executable,
        help="interpreter of an environment with torch",
    )
    parser.add_argument("--device", choices=["cpu", "gpu"], default="cpu")
    parser.add_argument(
        "--environments", nargs="+", choices=ENVIRONMENTS, default=ENVIRONMENTS
    )
    command.run(parser.parse_args(), measure_and_merge, render)


def measure_and_merge(options: argparse.Namespace) -> dict:
    """Measure; with `--only`, keep the other results of the file `--out`."""
    result = measure(options)
    if options.out and options.only and options.out.exists():
        result = merge(json.loads(options.out.read_text("utf-8")), result)
    return result


def measure(options) -> dict:
    """Run the benchmarks selected by the options."""
    clock = "cpu_s" if options.device == "cpu" else "wall_s"
    environments = [
        name
        for name in options.environments
        if options.device == "cpu" or name != "tf"
    ]
    with installed_workers(
        environments,
        options.cores,
        options.device,
        {"torch": options.torch_python},
    ) as workers:
        result = {
            "machine": machine(),
            "device": options.device,
            "cores": options.cores,
            "rounds": options.rounds,
            "versions": {name: w.version for name, w in workers.items()},
            "peak": {},
            "cases": [],
            "blocks": [],
            "projections": [],
            "peers": [],
            "long": [],
        }
        if not workers:
            return result
        for name, worker in workers.items():
            request = {"dtype": "float32", "clock": clock}
            result["peak"][name] = worker.ask("peak", case=request)
        for function in CASES:
            if options.only in (None, function):
                for shape in _shapes(options.device, function):
                    cases = _cases(options.device, function, *shape)
                    result["cases"] += interleave(
                        workers, cases, options.rounds, clock
                    )
        if options.device == "cpu" and options.only in (None, "block"):
            result["blocks"] = _blocks(workers, options.rounds, clock)
            result["projections"] = _projections(workers, options.rounds, clock)
            result["peers"] = _peers(workers, options.rounds, clock)
    if options.device == "cpu":
        for case in result["cases"]:
            if "error" not in case and case["n"] * case["m"] >= SMALLEST_MEMORY:
                case.update(
                    _in_its_own_process(
                        case, options.cores, options.torch_python
                    )
                )
        if options.only in (None, "long"):
            for pairwise in FUNCTIONS:
                case = _layer("block", LONG_CLIP, pairwise, (1, 1, 1), "train")
                cores = len(os.sched_getaffinity(0))
                measured = _in_its_own_process(case, cores)
                result["long"].append({**case, "cores": cores, **measured})
    return result


def merge(old: dict, new: dict) -> dict:
    """Merge new results into old ones.

    Raises:
        SystemExit: machine or versions differ.
    """
    for key in ("machine", "device", "cores", "versions"):
        if old[key] != new[key]:
            raise SystemExit(
                f"error: --out has results of {key}={old[key]}, expected "
                f"{new[key]}; choose another --out or leave out --only"
            )
    anew = {case["function"] for case in new["cases"]}
    kept = [case for case in old["cases"] if case["function"] not in anew]
    return {
        **new,
        "cases": [*kept, *new["cases"]],
        **{
            part: new.get(part) or old.get(part, [])
            for part in ("blocks", "projections", "peers", "long")
        },
    }


def _shapes(device: str, function: str) -> Iterator[tuple[int, int, int]]:
    if device == "gpu":
        for n in GPU_POSITIONS:
            for m in (n // 4, n):
                for d in (256, 512):
                    yield n, m, d
        return
    for n, m, d in SHAPES:
        if function != "softmax" or n * m <= LARGEST_SOFTMAX:
            yield n, m, d


def _cases(device, function, n, m, d) -> list[dict]:
    shape = {"function": function, "n": n, "m": m, "d": d, "batch": 1}
    cases = []
    for passed in ("forward", "train"):
        common = {**shape, "pass": passed}
        if device == "cpu":
            for env, xla, method in CASES[function]:
                if method in ("plain", "compiled") and n * m > LARGEST_PLAIN:
                    continue
                case = {"env": env, "xla": xla, "method": method}
                cases.append({**common, **case, "dtype": "float32"})
            continue
        for dtype in ("float32", "bfloat16"):
            for method, env in GPU_CASES[function]:
                if method == "plain" and n * m > GPU_LARGEST_PLAIN:
                    continue
                case = {"env": env, "xla": True, "method": method}
                cases.append({**common, **case, "dtype": dtype})
    return cases


def _layer(layer, shape, pairwise, subsample, passed) -> dict:
    return {
        "env": "tf",
        "layer": layer,
        "shape": list(shape),
        "pairwise": pairwise,
        "subsample": list(subsample),
        "pass": passed,
    }


def _blocks(workers, rounds, clock) -> list[dict]:
    """Time each block and the sum of its parts, interleaved."""
    rows = []
    for name, shape in BLOCKS.items():
        for pairwise in FUNCTIONS:
            for subsample in ((1, 1, 1), (1, 2, 2)):
                for passed in ("forward", "train"):
                    names = [
                        part
                        for part in PARTS
                        if not (part == "pool" and subsample == (1, 1, 1))
                        and not (
                            part in ("theta", "phi") and pairwise == "gaussian"
                        )
                    ]
                    cases = [
                        _layer(layer, shape, pairwise, subsample, passed)
                        for layer in ("block", *names)
                    ]
                    block, *parts = interleave(workers, cases, rounds, clock)
                    turns = zip(
                        block["seconds"],
                        *(part["seconds"] for part in parts),
                        strict=True,
                    )
                    rows.append(
                        {
                            "name": name,
                            "pairwise": pairwise,
                            "subsample": list(subsample),
                            "pass": passed,
                            "milliseconds": 1e3 * min(block["seconds"]),
                            "to_parts": statistics.median(
                                whole / sum(rest) for whole, *rest in turns
                            ),
                        }
                    )
    return rows


def _projections(workers, rounds, clock) -> list[dict]:
    """Time theta, phi and g by one product and by three."""
    rows = []
    for name, shape in BLOCKS.items():
        for passed in ("forward", "train"):
            cases = [
                _layer(layer, shape, "dot_product", (1, 1, 1), passed)
                for layer in ("three products", "one product")
            ]
            _, single = interleave(workers, cases, rounds, clock)
            rows.append(
                {"name": name, "pass": passed, "ratio": single["ratio"]}
            )
    return rows


def _peers(workers, rounds, clock) -> list[dict]:
    """Time the block of the embedded Gaussian beside PyTorch's modules."""
    rows = []
    for name, shape in BLOCKS.items():
        for subsample in ((1, 1, 1), (1, 2, 2)):
            for passed in ("forward", "train"):
                cases = [
                    {
                        **_layer(
                            "block",
                            shape,
                            "embedded_gaussian",
                            subsample,
                            passed,
                        ),
                        "env": env,
                        "method": method,
                    }
                    for env, method in PEERS
                ]
                measured = interleave(workers, cases, rounds, clock)
                rows += [{"name": name, **case} for case in measured]
    return rows


def _in_its_own_process(case, cores, torch_python=sys.executable) -> dict:
    python = torch_python if case["env"] == "torch" else sys.executable
    worker = Worker(case["env"], cores, "cpu", python)
    keys = ("seconds", "base", "ratio")
    request = {k: v for k, v in case.items() if k not in keys}
    answer = worker.ask("memory", case=request)
    worker.close()
    tell(f"{name_of(case)}: {answer}")
    if "n" in case:  # times are those of the interleaved runs
        answer.pop("cpu_s", None), answer.pop("wall_s", None)
    return answer


if __name__ == "__main__":
    main()
