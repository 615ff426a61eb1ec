"""Measure memory and time of training steps with gradient checkpointing.

    python -m training.benchmarks.gradient_checkpointing

Each case, a sampling and a batch with and without checkpointing, trains on
random clips in a process of its own. "GB" is the largest resident memory of the
process, less that before its first step, which builds the graph; "s" is the
median of the steps after it. A case that is killed for want of memory has no
figures.
"""

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import time

from ..io import cli, tables
from . import command
from .turns import machine, tell

# Sampling of clips, and batches.
CASES = ("32x2", 1), ("32x2", 4), ("128x1", 1), ("128x1", 4)
PLAIN, CHECKPOINTED = "plain", "checkpointed"


def main() -> None:
    """Command line of the benchmark."""
    parser = command.parser(__doc__)
    parser.add_argument("--network", default="i3d_nl5_r50")
    parser.add_argument(
        "--px", type=cli.count, default=224, help="side of frames"
    )
    parser.add_argument(
        "--steps", type=cli.count, default=2, help="after the first"
    )
    parser.add_argument("--case", type=json.loads, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.case is not None:
        print(json.dumps(measure_case(options, *options.case)))
    else:
        command.run(options, measure, render)


def measure(options: argparse.Namespace) -> dict:
    """Measure all cases, each in a process; return plain data."""
    rows = []
    for sampling, batch in CASES:
        for kind in (PLAIN, CHECKPOINTED):
            case = [sampling, batch, kind]
            rows.append([*case, *in_process(case)])
            tell(f"{sampling}, batch {batch}, {kind} done")
    return {
        "machine": machine(),
        "network": options.network,
        "px": options.px,
        "steps": options.steps,
        "rows": rows,
    }


def in_process(case: list) -> list[float | None]:
    """Measure a case in a process; return GB and seconds, None if killed."""
    module = "training.benchmarks.gradient_checkpointing"
    process = subprocess.run(
        [
            *(sys.executable, "-m", module),
            *(*sys.argv[1:], f"--case={json.dumps(case)}"),
        ],
        stdout=subprocess.PIPE,
        text=True,
        check=False,
    )
    if process.returncode < 0:
        return [None, None]
    process.check_returncode()
    return json.loads(process.stdout.splitlines()[-1])


def measure_case(
    options: argparse.Namespace, sampling: str, batch: int, kind: str
) -> list[float]:
    """Train on random clips; return the GB and the seconds of a step."""
    os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")
    import keras
    import tensorflow as tf

    import nonlocal_tf as nl

    frames = int(sampling.partition("x")[0])
    model = nl.create_model(
        options.network,
        num_classes=10,
        sampling=sampling,
        clip_shape=(frames, options.px, options.px, 3),
        gradient_checkpointing=kind == CHECKPOINTED,
    )
    optimizer = keras.optimizers.SGD(0.01)
    optimizer.build(model.trainable_variables)
    weights = [weight.value for weight in model.trainable_variables]
    clips = tf.random.normal((batch, *model.input_shape[1:]))

    @tf.function(autograph=False)
    def step():
        with tf.GradientTape() as tape:
            loss = tf.reduce_mean(model(clips, training=True) ** 2)
        gradients = tape.gradient(loss, weights)
        optimizer.apply(gradients, model.trainable_variables)
        return loss

    before = peak_gigabytes()
    seconds = []
    for _ in range(1 + options.steps):
        start = time.monotonic()
        step().numpy()
        seconds.append(time.monotonic() - start)
    gigabytes = peak_gigabytes() - before
    return [round(gigabytes, 2), round(statistics.median(seconds[1:]), 2)]


def peak_gigabytes() -> float:
    """Return the largest resident memory of this process so far."""
    return 1024e-9 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def render(result: dict) -> str:
    """Format a result as Markdown."""
    measured = {tuple(row[:3]): row[3:] for row in result["rows"]}
    head = ["clips", "batch", "GB", "GB checkpointed", "s", "s checkpointed"]
    rows = [[*head, "GB, x", "s, x"]]
    for sampling, batch in CASES:
        figures = [
            measured.get((sampling, batch, kind), [None, None])
            for kind in (PLAIN, CHECKPOINTED)
        ]
        cells, ratios = [], []
        for plain, checkpointed in zip(*figures, strict=True):
            cells += [_text(plain), _text(checkpointed)]
            known = plain and checkpointed
            ratios.append(f"{checkpointed / plain:.2f}" if known else "")
        rows.append([sampling, str(batch), *cells, *ratios])
    return (
        f"{result['machine']}; {result['network']}, {result['px']} x "
        f"{result['px']}, float32, {result['steps']} steps after the first."
        f"\n\n{tables.markdown(rows)}"
    )


def _text(value: float | None) -> str:
    return "not run" if value is None else f"{value:.2f}"


if __name__ == "__main__":
    main()
