"""Tables and targets of `operators.py`, as Markdown."""

from collections.abc import Iterator

from ..io import tables
from .turns import bar_lines, ratio

KINDS = ("concatenation", "dot_product", "softmax")
# environment, XLA, method of the cases in targets and README.
TF_PLAIN, TF_AUTO = ("tf", False, "plain"), ("tf", False, "auto")
TF_XLA = ("tf", True, "auto")


def render(result: dict) -> str:
    """Format a result as Markdown."""
    versions = "; ".join(result["versions"].values())
    if not result["versions"]:
        return f"device {result['device']}: not available, not run"
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
    for function in KINDS:
        cases = [c for c in result["cases"] if c["function"] == function]
        if cases:
            lines += ["", f"### {function}", "", _operator_table(cases, result)]
    lines += bar_lines("Bars", bars(result))
    if result["blocks"]:
        lines += ["", "### A block and its parts", "", _block_table(result)]
        products = "; ".join(
            f"{row['name']} {row['pass']} x {row['ratio']:.2f}"
            for row in result["projections"]
        )
        lines += ["", f"theta, phi, g by one product, to three: {products}."]
    if result.get("peers"):
        lines += ["", "### A block beside PyTorch's modules", ""]
        lines += [_peer_table(result)]
    if result["long"]:
        lines += ["", "### 50,176 positions", "", _long_table(result)]
    return "\n".join(lines)


def _operator_table(cases, result) -> str:
    times = ("x", "of limit")
    head = ["n, m, d", "how", "forward ms", *times, "train ms", *times, "MB"]
    table_rows = [head]
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
        table_rows.append([*cells, " / ".join(growth)])
    return tables.markdown(table_rows)


def _block_table(result) -> str:
    head = ["block", "pairwise", "subsample"]
    head += ["forward ms", "to its parts", "train ms", "to its parts"]
    rows = [head]
    cases = iter(result["blocks"])
    for forward, train in zip(cases, cases, strict=True):
        pool = " x ".join(map(str, forward["subsample"]))
        cells = [forward["name"], forward["pairwise"], pool]
        for row in (forward, train):
            cells += [f"{row['milliseconds']:.1f}", f"{row['to_parts']:.2f}"]
        rows.append(cells)
    return tables.markdown(rows)


def _peer_table(result) -> str:
    """Format blocks: times, and ours over each ("x")."""
    head = ["block", "subsample", "how", "forward ms", "x", "train ms", "x"]
    rows: dict[tuple, list] = {}
    for case in result["peers"]:
        pool = " x ".join(map(str, case["subsample"]))
        key = case["name"], pool, f"{case['env']} {case['method']}"
        cells = ["failed", ""]
        if "error" not in case:
            milliseconds = 1e3 * min(case["seconds"])
            cells = [f"{milliseconds:.1f}", f"{case['ratio']:.2f}"]
        rows.setdefault(key, []).extend(cells)
    table = [[*key, *cells] for key, cells in rows.items()]
    return tables.markdown([head, *table])


def _long_table(result) -> str:
    rows = [("pairwise", "seconds", "MB above the input")]
    for case in result["long"]:
        if "error" in case:
            rows.append((case["pairwise"], case["error"], ""))
            continue
        finite = "" if case["finite"] else " (not finite)"
        seconds = f"{case['wall_s']:.1f}{finite}"
        rows.append((case["pairwise"], seconds, f"{case['growth_mb']:.0f}"))
    return (
        "A training step of a block, by the clock, on "
        f"{result['long'][0]['cores']} cores.\n\n{tables.markdown(rows)}"
    )


def _reference(result) -> str:
    """Return the environment whose matrix product and copy set the limits."""
    return "tf" if "tf" in result["peak"] else next(iter(result["peak"]))


def limit_seconds(case: dict, peak: dict) -> tuple[float, str]:
    """Compute the lower bound of a function's time, and its kind.

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


def bars(result: dict) -> Iterator[tuple[str, float, bool]]:
    """Yield the targets: (description, measured value, reached).

    The ratios were set in advance on a CPU without AVX-512.
    """
    plain, auto, xla = TF_PLAIN, TF_AUTO, TF_XLA

    def times(function, n, m, passed, over, at_least, how=auto):
        case = _find(result, function, n, m, passed, how)
        base = _find(result, function, n, m, passed, over)
        if case and base:
            measured = ratio(base, case)
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
    """Format the rows of the guide: a long clip, and a step against plain."""
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
    """Return the case of a size and (environment, XLA, method), if it ran."""
    keys = ("function", "n", "m", "pass", "env", "xla", "method")
    key = dict(zip(keys, (function, n, m, passed, *how), strict=True))
    for case in result["cases"]:
        if key.items() <= case.items() and "error" not in case:
            return case
    return None
