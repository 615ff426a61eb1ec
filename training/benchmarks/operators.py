"""Our functions beside the plain form, Keras' attention and PyTorch.

    python -m training.benchmarks.operators                  # half an hour
    python -m training.benchmarks.operators --only softmax --rounds 3
    python -m training.benchmarks.operators --device gpu     # JAX and PyTorch

All cases of a shape take turns; a ratio is the median over the rounds of
(time of the base) / (time of the case) in the same round. On a CPU the time is
that of the process on `--cores` cores, on a GPU that of the clock. Memory is
measured in a process of its own for each case.
"""

import argparse
import json
import os
import pathlib
import platform
import statistics
import subprocess
import sys
import typing
from collections.abc import Iterator

WORKER = pathlib.Path(__file__).with_name("worker.py")
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
TF_PLAIN, TF_AUTO = ("tf", False, "plain"), ("tf", False, "auto")
TF_XLA = ("tf", True, "auto")
# environment, XLA, method: the first is the base of the ratios.
CASES = {
    "concatenation": (
        ("tf", False, "plain"),
        ("tf", False, "auto"),
        ("tf", True, "auto"),
        ("jax", True, "auto"),
        ("torch", False, "plain"),
    ),
    "dot_product": (
        ("tf", False, "plain"),
        ("tf", False, "auto"),
        ("tf", True, "auto"),
        ("jax", True, "auto"),
        ("torch", False, "plain"),
        ("torch", False, "associative"),
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
PARTS = ("theta", "phi", "g", "pool", "pairwise", "out", "bn", "add")


class Worker:
    """A process of `worker.py`."""

    def __init__(self, environment: str, cores: int, device: str):
        self.process = subprocess.Popen(
            [sys.executable, WORKER, environment, str(cores), device],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "2"},
        )
        self.version = self._answer()

    def ask(self, do: str, **request):
        request = {"do": do, **request}
        try:
            print(json.dumps(request), file=self.process.stdin, flush=True)
        except BrokenPipeError:
            return {"error": "the worker died"}
        answer = self._answer()
        return {"error": "the worker died"} if answer is None else answer

    def _answer(self):
        line = typing.cast(typing.TextIO, self.process.stdout).readline()
        return json.loads(line) if line else None

    def close(self) -> None:
        self.process.kill()
        self.process.communicate()


def main() -> None:
    """Command line of `python -m training.benchmarks.operators`."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--only", choices=[*CASES, "block", "long"])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--cores", type=int, default=1)
    parser.add_argument("--device", choices=["cpu", "gpu"], default="cpu")
    parser.add_argument(
        "--environments", nargs="+", choices=ENVIRONMENTS, default=ENVIRONMENTS
    )
    parser.add_argument(
        "--out",
        type=pathlib.Path,
        help="JSON of all figures; with --only, others there are kept",
    )
    parser.add_argument(
        "--render", type=pathlib.Path, help="print the tables of such a JSON"
    )
    options = parser.parse_args()
    if options.render:
        print(render(json.loads(options.render.read_text("utf-8"))))
        return
    result = measure(options)
    if options.out and options.only and options.out.exists():
        result = merge(json.loads(options.out.read_text("utf-8")), result)
    if options.out:
        text = json.dumps(result, indent=1) + "\n"
        options.out.write_text(text, "utf-8")
    print(render(result))


def measure(options) -> dict:
    """Runs what the options ask for."""
    clock = "cpu_s" if options.device == "cpu" else "wall_s"
    workers = {}
    for name in options.environments:
        if options.device == "gpu" and name == "tf":
            continue
        worker = Worker(name, options.cores, options.device)
        if worker.version is None:
            worker.close()
            tell(f"{name}: not installed, or no such device; not run")
        else:
            workers[name] = worker
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
        "long": [],
    }
    if not workers:
        return result
    for name, worker in workers.items():
        request = {"dtype": "float32", "clock": clock}
        result["peak"][name] = worker.ask("peak", case=request)
    try:
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
    finally:
        for worker in workers.values():
            worker.close()
    if options.device == "cpu":
        for case in result["cases"]:
            if "error" not in case and case["n"] * case["m"] >= SMALLEST_MEMORY:
                case.update(_in_its_own_process(case, options.cores))
        if options.only in (None, "long"):
            for pairwise in FUNCTIONS:
                case = _layer("block", LONG_CLIP, pairwise, (1, 1, 1), "train")
                cores = len(os.sched_getaffinity(0))
                measured = _in_its_own_process(case, cores)
                result["long"].append({**case, "cores": cores, **measured})
    return result


def merge(old: dict, new: dict) -> dict:
    """The new figures, and those of the old that were not measured anew.

    Raises:
        SystemExit: they are of another machine or of other versions.
    """
    for key in ("machine", "device", "cores", "versions"):
        if old[key] != new[key]:
            raise SystemExit(
                f"error: --out holds figures of {key}={old[key]}, these are of "
                f"{new[key]}; choose another --out or leave --only away"
            )
    anew = {case["function"] for case in new["cases"]}
    kept = [case for case in old["cases"] if case["function"] not in anew]
    return {
        **new,
        "cases": [*kept, *new["cases"]],
        **{
            part: new[part] or old[part]
            for part in ("blocks", "projections", "long")
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
                if method == "plain" and n * m > LARGEST_PLAIN:
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


def interleave(workers, cases, rounds, clock, name=None) -> list[dict]:
    """The cases with their times, and ratios to the first of their pass.

    Args:
        workers: a `Worker` an environment; cases of others are left out.
        cases: what to prepare and run, dictionaries with `env` and `pass`.
        rounds: how often each runs, all taking turns.
        clock: "cpu_s" or "wall_s".
        name: a function of a case to what it is called on the screen.
    """
    name = name or name_of
    running: list[dict] = []
    for case in cases:
        if case["env"] not in workers:
            continue
        request = {"key": str(len(running)), "case": case}
        case.update(workers[case["env"]].ask("prepare", **request))
        running.append(case)
        if "error" in case:
            tell(f"{name(case)}: {case['error']}")
    for case in running:
        case["seconds"] = []
    for _ in range(rounds):
        for key, case in enumerate(running):
            if "error" not in case:
                answer = workers[case["env"]].ask("run", key=str(key))
                case["seconds"].append(answer[clock])
    for worker in workers.values():
        worker.ask("forget")
    for case in running:
        if "error" in case:
            continue
        base = next(
            c
            for c in running
            if all(c.get(k) == case.get(k) for k in ("pass", "dtype"))
            and "error" not in c
        )
        case["base"] = f"{base['env']} {base['method']}" if "n" in base else ""
        case["ratio"] = ratio(base, case)
        milliseconds = 1e3 * min(case["seconds"])
        tell(f"{name(case)}: {milliseconds:.1f} ms, x {case['ratio']:.2f}")
    return running


def _blocks(workers, rounds, clock) -> list[dict]:
    """Each block beside the sum of its parts, all taking turns."""
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
    """theta, phi and g by one product beside three."""
    rows = []
    for name, shape in BLOCKS.items():
        for passed in ("forward", "train"):
            cases = [
                _layer(layer, shape, "dot_product", (1, 1, 1), passed)
                for layer in ("three products", "one product")
            ]
            _, one = interleave(workers, cases, rounds, clock)
            rows.append({"name": name, "pass": passed, "ratio": one["ratio"]})
    return rows


def _in_its_own_process(case, cores) -> dict:
    worker = Worker(case["env"], cores, "cpu")
    keys = ("seconds", "base", "ratio")
    request = {k: v for k, v in case.items() if k not in keys}
    answer = worker.ask("memory", case=request)
    worker.close()
    tell(f"{name_of(case)}: {answer}")
    if "n" in case:  # times are those of the turns
        answer.pop("cpu_s", None), answer.pop("wall_s", None)
    return answer


def bars(result: dict) -> Iterator[tuple[str, float, bool]]:
    """What we set out to reach: (what, measured, whether it is reached).

    The ratios were set on a CPU without AVX-512 before this was written.
    """
    plain, auto, xla = TF_PLAIN, TF_AUTO, TF_XLA

    def times(function, n, m, passed, over, at_least, how=auto):
        one = _find(result, function, n, m, passed, how)
        other = _find(result, function, n, m, passed, over)
        if one and other:
            measured = ratio(other, one)
            xla = " XLA" if how[1] else ""
            what = f"{function} {n} x {m} {passed}{xla}: times {over[0]} "
            what += over[2]
            yield (
                f"{what}, at least {at_least}",
                measured,
                measured >= at_least,
            )

    def growth(function, n, m, at_most, how=auto):
        case = _find(result, function, n, m, "train", how)
        if case and "growth_mb" in case:
            what = f"{function} {n} x {m} train {how[2]}"
            what += " XLA" if how[1] else ""
            measured = case["growth_mb"]
            yield (
                f"{what}: MB, at most {at_most}",
                measured,
                measured <= at_most,
            )

    yield from times("concatenation", 784, 196, "forward", plain, 1.2)
    yield from times("concatenation", 784, 196, "train", plain, 1.2)
    yield from times("concatenation", 3136, 3136, "forward", plain, 8)
    yield from times("concatenation", 3136, 3136, "train", plain, 12)
    yield from times("concatenation", 12544, 12544, "forward", plain, 30)
    yield from times("concatenation", 12544, 12544, "train", plain, 45)
    yield from times("concatenation", 12544, 12544, "train", auto, 0.77, xla)
    yield from growth("concatenation", 12544, 12544, 130)
    yield from growth("concatenation", 12544, 12544, 200, xla)
    yield from growth("concatenation", 50176, 50176, 250)
    yield from times("dot_product", 784, 196, "forward", plain, 1.0)
    yield from times("dot_product", 784, 196, "train", plain, 1.0)
    for passed in ("forward", "train"):
        yield from times("dot_product", 3136, 784, passed, plain, 3.5)
        yield from times("dot_product", 3136, 3136, passed, plain, 11)
    sdpa, torch = ("torch", False, "sdpa"), ("torch", False, "plain")
    yield from times("softmax", 3136, 3136, "forward", sdpa, 0.8)
    yield from times("softmax", 3136, 3136, "train", plain, 1.2)
    yield from times("softmax", 3136, 3136, "train", sdpa, 1.05)
    yield from times("softmax", 3136, 3136, "train", torch, 1.35)
    yield from growth("softmax", 3136, 3136, 25)
    yield from times("softmax", 12544, 3136, "train", plain, 1.0)
    yield from times("softmax", 12544, 3136, "train", sdpa, 0.95)
    yield from growth("softmax", 12544, 3136, 150)


def summary(result: dict) -> list[str]:
    """Rows of README: a long clip, and a training step beside the plain one."""
    sizes = {"softmax": (12544, 3136)}
    rows = []
    for case in result["long"]:
        name = case["pairwise"]
        function = "softmax" if name.endswith("gaussian") else name
        n, m = sizes.get(function, (12544, 12544))
        ours, plain = (
            _find(result, function, n, m, "train", how)
            for how in (TF_AUTO, TF_PLAIN)
        )
        rows.append(
            f"{case['wall_s']:.1f} s, {case['growth_mb'] / 1e3:.1f} GB | "
            f"{ratio(plain, ours):.2g} times as fast, "
            f"{ours['growth_mb']:.0f} instead of {plain['growth_mb']:,.0f} MB |"
        )
    return rows


def _find(result, function, n, m, passed, how):
    """The case of a size and an (environment, XLA, method), if it ran."""
    keys = ("function", "n", "m", "pass", "env", "xla", "method")
    wanted = dict(zip(keys, (function, n, m, passed, *how), strict=True))
    for case in result["cases"]:
        if wanted.items() <= case.items() and "error" not in case:
            return case
    return None


def ratio(base, case) -> float:
    """How many times as fast as the base: the median over the rounds."""
    pairs = zip(base["seconds"], case["seconds"], strict=True)
    return statistics.median(slow / fast for slow, fast in pairs)


def limit_seconds(case: dict, peak: dict) -> tuple[float, str]:
    """The least time of a function, and what it is bound by.

    Matrix products at the measured peak, or each array read or written once at
    the measured speed of a copy, whichever takes longer.
    """
    n, m, d = case["n"], case["m"], case["d"]
    train = case["pass"] == "train"
    if case["function"] == "concatenation":
        flops = 0
    elif case["function"] == "dot_product":
        flops = 2 * min((n + m) * d * d, 2 * n * m * d) * (3 if train else 1)
    else:
        flops = 2 * n * m * d * (6 if train else 2)
    arrays = n + m if case["function"] == "concatenation" else 2 * (n + m)
    bytes_moved = 4 * d * arrays * (2 if train else 1)
    by_flops = flops / (peak["gflops"] * 1e9)
    by_bytes = bytes_moved / (peak["gbytes"] * 1e9)
    if by_flops > by_bytes:
        return by_flops, "flops"
    return by_bytes, "bytes"


def render(result: dict) -> str:
    """The figures as Markdown."""
    versions = "; ".join(result["versions"].values())
    if not result["versions"]:
        return f"device {result['device']}: not run, there is none"
    device = "GPU"
    if result["device"] == "cpu":
        device = f"{result['cores']} core(s)"
    lines = [
        f"{result['machine']}; {device}; {versions}. "
        f"{result['rounds']} rounds.",
        "",
    ]
    products = ", ".join(
        f"{name} {peak['gflops']:.0f}" for name, peak in result["peak"].items()
    )
    limit = result["peak"][_reference(result)]
    lines.append(
        f"Matrix product of 2048^2 float32, GF/s: {products}. "
        f"Limits are of {_reference(result)}'s and its copy, "
        f"{limit['gbytes']:.1f} GB/s."
    )
    for function in CASES:
        cases = [c for c in result["cases"] if c["function"] == function]
        if cases:
            lines += ["", f"### {function}", *_operator_table(cases, result)]
    rows = [
        f"| {what} | {value:.3g} | {'yes' if reached else '**no**'} |"
        for what, value, reached in bars(result)
    ]
    if rows:
        lines += ["", "### Bars", "", "| bar | measured | reached |"]
        lines += ["|---|---|---|", *rows]
    if result["blocks"]:
        lines += ["", "### A block and its parts", *_block_table(result)]
        products = "; ".join(
            f"{row['name']} {row['pass']} x {row['ratio']:.2f}"
            for row in result["projections"]
        )
        lines += ["", f"theta, phi, g by one product, to three: {products}."]
    if result["long"]:
        lines += ["", "### 50,176 positions", *_long_table(result)]
    return "\n".join(lines)


def _operator_table(cases, result) -> list[str]:
    lines = [
        "",
        "| n, m, d | how | forward ms | x | of limit | train ms | x | of limit "
        "| MB |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    rows: dict[tuple, dict[str, dict]] = {}
    for case in cases:
        how = f"{case['env']}{' XLA' * (case['env'] == 'tf' and case['xla'])} "
        how += case["method"]
        if case["dtype"] != "float32":
            how += f" {case['dtype']}"
        shape = f"{case['n']}, {case['m']}, {case['d']}"
        rows.setdefault((shape, how), {})[case["pass"]] = case
    for (shape, how), passes in rows.items():
        cells = [shape, how]
        for case in (passes["forward"], passes["train"]):
            if "error" in case:
                cells += ["failed", "", ""]
                continue
            peak = result["peak"][_reference(result)]
            least, bound = limit_seconds(case, peak)
            seconds = min(case["seconds"])
            cells += [
                f"{1e3 * seconds:.1f}",
                f"{case['ratio']:.2f}",
                f"{least / seconds:.0%} ({bound})",
            ]
        growth = [
            f"{p['growth_mb']:.0f}"
            for p in (passes["forward"], passes["train"])
            if "growth_mb" in p
        ]
        lines.append("| " + " | ".join([*cells, " / ".join(growth)]) + " |")
    return lines


def _block_table(result) -> list[str]:
    lines = [
        "",
        "| block | pairwise | subsample | forward ms | to its parts "
        "| train ms | to its parts |",
        "|---|---|---|---|---|---|---|",
    ]
    rows = iter(result["blocks"])
    for forward, train in zip(rows, rows, strict=True):
        pool = " x ".join(map(str, forward["subsample"]))
        cells = [forward["name"], forward["pairwise"], pool]
        for row in (forward, train):
            cells += [f"{row['milliseconds']:.1f}", f"{row['to_parts']:.2f}"]
        lines.append("| " + " | ".join(cells) + " |")
    return lines


def _long_table(result) -> list[str]:
    lines = [
        "",
        "A training step of a block, by the clock, on "
        f"{result['long'][0]['cores']} cores.",
        "",
        "| pairwise | seconds | MB above the input |",
        "|---|---|---|",
    ]
    for row in result["long"]:
        if "error" in row:
            lines.append(f"| {row['pairwise']} | {row['error']} | |")
            continue
        finite = "" if row["finite"] else " (not finite)"
        lines.append(
            f"| {row['pairwise']} | {row['wall_s']:.1f}{finite} "
            f"| {row['growth_mb']:.0f} |"
        )
    return lines


def _reference(result) -> str:
    """Whose matrix product and copy the limits are taken from."""
    return "tf" if "tf" in result["peak"] else next(iter(result["peak"]))


def name_of(case) -> str:
    """What a case is called on the screen."""
    if "layer" in case:
        return " ".join(
            str(case[k])
            for k in ("layer", "shape", "pairwise", "subsample", "pass")
        )
    keys = ("function", "n", "m", "d", "pass", "env", "method")
    xla = " XLA" if case["xla"] else ""
    return " ".join(str(case[k]) for k in keys) + xla


def machine() -> str:
    """The processor and the system."""
    try:
        text = pathlib.Path("/proc/cpuinfo").read_text("utf-8")
        models = [x for x in text.splitlines() if x.startswith("model name")]
        model = models[0].partition(":")[2].strip()
    except (OSError, IndexError):
        model = platform.processor()
    wide = " with AVX-512" if "avx512f" in text else ""
    return f"{model}{wide}, {platform.system()} {platform.machine()}"


def tell(line: str) -> None:
    """Says how far it is, beside what is printed in the end."""
    print(line, file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
