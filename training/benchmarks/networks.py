"""Our networks beside plain Keras layers and plain PyTorch modules.

    python -m training.benchmarks.networks                   # ten minutes
    python -m training.benchmarks.networks --only i3d_nl5_r50 --rounds 3

Cases of a network are interleaved; a ratio is the median over the rounds of
(time of the base) / (time of the case) in the same round. Times are CPU times
on `--cores` cores. PyTorch is optional. Memory is the peak of a separate
process in a training step on a long clip.
"""

import dataclasses
import os

import nonlocal_tf as nl
from nonlocal_tf.models import backbones

from ..io import tables
from . import command
from .turns import (
    Worker,
    bar_lines,
    installed_workers,
    interleave,
    machine,
    ratio,
    tell,
)

WITHOUT = "tf without oneDNN"
ENVIRONMENTS = ("torch", "tf", WITHOUT)
NETWORKS = {
    "c2d_r50": backbones.resnet_config("c2d", 50),
    "i3d_nl5_r50": backbones.resnet_config("i3d", 50, backbones.PLACES[5, 50]),
}
SAMPLING = "8x8"
SHAPE = (8, 224, 224, 3)
# environment, form; the first of them that runs is the base of the ratios.
CASES = (
    ("torch", "modules"),
    ("tf", "keras"),
    ("tf", "ours"),
    ("tf", "fastest"),
    (WITHOUT, "keras"),
    (WITHOUT, "ours"),
    (WITHOUT, "fastest"),
)
PASSES = ("inference", "train")
# network, sampling, frames: a training step of one clip.
LONG = (("i3d_nl5_r50", "32x2", 32), ("i3d_nl5_r50", "128x1", 128))
LIMIT_MB = 16 * 1024


def main() -> None:
    """Command line of `python -m training.benchmarks.networks`."""
    parser = command.parser(__doc__)
    parser.add_argument("--only", choices=[*NETWORKS, "memory"])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--cores", type=int, default=1)
    parser.add_argument(
        "--environments", nargs="+", choices=ENVIRONMENTS, default=ENVIRONMENTS
    )
    command.run(parser.parse_args(), measure, render)


def measure(options) -> dict:
    """Run the benchmarks selected by the options."""
    with installed_workers(options.environments, options.cores) as workers:
        result: dict = {
            "machine": machine(),
            "cores": options.cores,
            "rounds": options.rounds,
            "versions": {name: w.version for name, w in workers.items()},
            "gflops": {},
            "cases": [],
            "memory": [],
        }
        for name, worker in workers.items():
            request = {"dtype": "float32", "clock": "cpu_s"}
            peak = worker.ask("peak", case=request)
            result["gflops"][name] = peak["gflops"]
        for network in NETWORKS:
            if options.only in (None, network):
                for passed in PASSES:
                    cases = [
                        case_of(network, passed, *c, shape=SHAPE) for c in CASES
                    ]
                    result["cases"] += interleave(
                        workers, cases, options.rounds, "cpu_s", name_of
                    )
    for case in result["cases"]:
        for key in ("spec", "stem"):  # what the worker needed
            case.pop(key)
    if options.only in (None, "memory") and "tf" in options.environments:
        result["memory"] = [_memory(*row) for row in LONG]
    return result


def case_of(network, passed, env, form, shape, sampling=SAMPLING) -> dict:
    """Make the case of a worker."""
    stem = backbones.STEMS[backbones.SAMPLINGS[sampling].stem]
    return {
        "env": env,
        "network": network,
        "form": form,
        "pass": passed,
        "sampling": sampling,
        "shape": list(shape),
        "multiply_adds": _multiply_adds(network, sampling, shape),
        "spec": dataclasses.asdict(NETWORKS[network]),
        "stem": dataclasses.asdict(stem),
    }


def _multiply_adds(network, sampling, shape) -> int:
    with_weights = nl.create_model(
        network, sampling=sampling, clip_shape=tuple(shape)
    )
    return nl.cost(with_weights).multiply_adds


def _memory(network, sampling, frames) -> dict:
    """Measure a training step of one long clip in a process on all cores."""
    cores = len(os.sched_getaffinity(0))
    shape = (frames, *SHAPE[1:])
    case = case_of(network, "train", "tf", "fastest", shape, sampling)
    worker = Worker("tf", cores, "cpu")
    answer = worker.ask("most", case=case)
    worker.close()
    row = {"network": network, "sampling": sampling, "cores": cores, **answer}
    tell(f"memory: {row}")
    return row


def bars(result: dict):
    """Yield the targets: (description, measured value, reached)."""

    def times(network, passed, env, form, over, at_least):
        case = _find(result, network, passed, env, form)
        base = _find(result, network, passed, *over)
        if case and base:
            measured = ratio(base, case)
            what = f"{network} {passed}, {env} {form}: times {' '.join(over)}"
            yield f"{what}, at least {at_least}", measured, measured >= at_least

    torch = ("torch", "modules")
    yield from times("c2d_r50", "train", "tf", "fastest", torch, 1.05)
    yield from times("c2d_r50", "inference", "tf", "fastest", torch, 1.2)
    yield from times("i3d_nl5_r50", "train", "tf", "fastest", torch, 1.05)
    yield from times("i3d_nl5_r50", "inference", "tf", "fastest", torch, 1.3)
    for env in ("tf", WITHOUT):
        for network in NETWORKS:
            for passed in PASSES:
                plain = (env, "keras")
                yield from times(network, passed, env, "fastest", plain, 1.0)
    for network, passed, least in (
        ("c2d_r50", "inference", 65),
        ("c2d_r50", "train", 50),
        ("i3d_nl5_r50", "inference", 70),
        ("i3d_nl5_r50", "train", 50),
    ):
        case = _find(result, network, passed, "tf", "fastest")
        if case:
            share = 100 * share_of_peak(case, result)
            what = f"{network} {passed}: % of the core's peak, at least {least}"
            yield what, share, share >= least
    for row in result["memory"]:
        if "peak_mb" in row:
            what = f"{row['network']} {row['sampling']} train: MB, at most "
            most = row["peak_mb"]
            yield f"{what}{LIMIT_MB}", most, most <= LIMIT_MB


def share_of_peak(case: dict, result: dict) -> float:
    """Compute multiply-adds per second as a share of a matrix product's.

    A training step counts as three passes.
    """
    passes = 3 if case["pass"] == "train" else 1
    flops = 2 * case["multiply_adds"] * passes
    peak = result["gflops"].get("tf") or max(result["gflops"].values())
    return flops / min(case["seconds"]) / (peak * 1e9)


def summary(result: dict) -> list[str]:
    """Format the rows of the guide."""
    rows = []
    for network in NETWORKS:
        cells = [f"`{network}`"]
        for passed in PASSES:
            ours = _find(result, network, passed, "tf", "fastest")
            for env, form in (("torch", "modules"), ("tf", "keras")):
                other = _find(result, network, passed, env, form)
                cells.append(f"{ratio(other, ours):.2f}")
        rows.append("| " + " | ".join(cells) + " |")
    return rows


def render(result: dict) -> str:
    """Format a result as Markdown."""
    peak = ", ".join(f"{k} {v:.0f}" for k, v in result["gflops"].items())
    lines = [
        f"{result['machine']}; {result['cores']} core(s); "
        f"{'; '.join(dict.fromkeys(result['versions'].values()))}. "
        f"{result['rounds']} rounds.",
        "",
        f"Matrix product of 2048^2 float32, GF/s: {peak}. "
        "Shares are of that of tf.",
    ]
    for network in NETWORKS:
        cases = [c for c in result["cases"] if c["network"] == network]
        if cases:
            lines += ["", f"### {network}", ""]
            lines.append(tables.markdown(_rows(cases, result)))
    if result["memory"]:
        lines += ["", "### A training step of one long clip", ""]
        rows = [("network", "sampling", "cores", "seconds", "peak MB")]
        for row in result["memory"]:
            cells = (row.get("error", ""), "")
            if "peak_mb" in row:
                cells = (f"{row['wall_s']:.1f}", f"{row['peak_mb']:,.0f}")
            rows.append((row["network"], row["sampling"], row["cores"], *cells))
        lines.append(tables.markdown(rows))
    lines += bar_lines("Bars of the networks", bars(result))
    return "\n".join(lines)


def _rows(cases, result) -> list[list[str]]:
    rows = [["how", "inference ms", "x", "of peak", "train ms", "x", "of peak"]]
    for env, form in dict.fromkeys((c["env"], c["form"]) for c in cases):
        cells = [f"{env}, {form}"]
        for passed in PASSES:
            (case,) = (
                c
                for c in cases
                if (c["env"], c["form"], c["pass"]) == (env, form, passed)
            )
            if "error" in case:
                cells += ["failed", "", ""]
                continue
            share = share_of_peak(case, result)
            milliseconds = 1e3 * min(case["seconds"])
            cells += [f"{milliseconds:.0f}", f"{case['ratio']:.2f}"]
            cells += [f"{share:.0%}"]
        rows.append(cells)
    return rows


def _find(result, network, passed, env, form):
    """Return a case, if it ran."""
    for case in result["cases"]:
        key = (case["network"], case["pass"], case["env"], case["form"])
        if key == (network, passed, env, form) and "error" not in case:
            return case
    return None


def name_of(case) -> str:
    """Return the name of a case for the terminal."""
    return " ".join(case[k] for k in ("network", "pass", "env", "form"))


if __name__ == "__main__":
    main()
