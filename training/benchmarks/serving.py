"""Compare a SavedModel with Keras' `predict` and plain PyTorch modules.

    python -m training.benchmarks.serving                   # ten minutes

Cases of a network are interleaved: a ratio is the median over the rounds of
(time of `predict`) / (time of the case) in the same round, in wall-clock time
on `--cores` cores. A request is one clip, uint8 for SavedModels. Memory is the
peak of a process that runs only the case. PyTorch is optional.
"""

import argparse
import pathlib
import tempfile

import nonlocal_tf as nl

from ..data.dataset_info import DatasetInfo
from ..data.sampling_config import SamplingConfig
from ..evaluation.classifier import Classifier
from ..exporting import inference_model, saved_model_writer
from ..io import tables
from . import command, networks
from .turns import Worker, installed_workers, interleave, machine

# network, sampling, size of the clip.
REQUESTS = (
    ("c2d_r50", "8x8", (8, 224, 224, 3)),
    ("i3d_nl5_r50", "32x2", (32, 224, 224, 3)),
)
# Name of a case, its environment, and the form of the SavedModel:
# (folded, dtype).
FORMS: dict[str, tuple[str, tuple[bool, str] | None]] = {
    "predict": ("tf", None),
    "modules": ("torch", None),
    "SavedModel, not folded": ("tf", (False, "float32")),
    "SavedModel": ("tf", (True, "float32")),
    "SavedModel, bfloat16": ("tf", (True, "bfloat16")),
    "SavedModel, int8": ("tf", (True, "int8")),
}
HEAD = ("how", "ms", "x", "peak MB", "MB on disk")


def main() -> None:
    """Command line of `python -m training.benchmarks.serving`."""
    parser = command.parser(__doc__)
    parser.add_argument("--only", choices=[name for name, *_ in REQUESTS])
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--cores", type=int, default=2)
    command.run(parser.parse_args(), _measure, render)


def _measure(options: argparse.Namespace) -> dict:
    chosen = [r for r in REQUESTS if options.only in (None, r[0])]
    return measure(chosen, options.rounds, options.cores)


def measure(requests, rounds: int, cores: int) -> dict:
    """Measure time and memory of each form of each request."""
    result: dict = {
        "machine": machine(),
        "cores": cores,
        "rounds": rounds,
        "versions": {},
        "cases": [],
    }
    for network, sampling, shape in requests:
        with tempfile.TemporaryDirectory() as folder:
            cases = make_cases(network, sampling, shape, pathlib.Path(folder))
            result["cases"] += _measured(cases, rounds, cores, result)
    return result


def make_cases(network, sampling, shape, folder: pathlib.Path) -> list[dict]:
    """Write the SavedModels; return the cases for the workers."""
    trained = nl.create_model(network, sampling=sampling, clip_shape=shape)
    info, clip_sampling = _inputs(sampling, shape)
    cases = []
    for form, (env, written) in FORMS.items():
        case = networks.case_of(
            network, "inference", env, form, shape, sampling
        )
        if written is not None:
            fold, dtype = written
            path = folder / form.replace(" ", "_")
            served = inference_model.build(
                Classifier(trained), info, clip_sampling, fold=fold
            )
            saved_model_writer.write(served, path, dtype=dtype)
            case["path"] = str(path)
            case["disk_mb"] = 1e-6 * sum(
                f.stat().st_size for f in path.rglob("*") if f.is_file()
            )
        case["weights_mb"] = 4e-6 * trained.count_params()
        cases.append(case)
    return cases


def _inputs(sampling, shape):
    """Return data set and sampling of the paper's sizes."""
    frames, stride = map(int, sampling.split("x"))
    info = DatasetInfo(
        classes=tuple(map(str, range(400))),
        element_shape=shape,
        multi_label=False,
        description="Kinetics-400",
    )
    return info, SamplingConfig(frames, stride, crop_px=shape[1])


def _measured(cases, rounds, cores, result) -> list[dict]:
    with installed_workers(("tf", "torch"), cores) as workers:
        result["versions"] |= {env: w.version for env, w in workers.items()}
        cases_run = interleave(
            workers, cases, rounds, "wall_s", lambda case: case["form"]
        )
    for case in cases_run:
        worker = Worker(case["env"], cores, "cpu")
        case |= worker.ask("most", case=case)
        worker.close()
        for key in ("spec", "stem", "path"):  # what the worker needed
            case.pop(key, None)
    return cases_run


def render(result: dict) -> str:
    """The figures as Markdown."""
    lines = [
        f"{result['machine']}; {result['cores']} core(s); "
        f"{'; '.join(result['versions'].values())}. {result['rounds']} rounds."
    ]
    for network in dict.fromkeys(c["network"] for c in result["cases"]):
        cases = [c for c in result["cases"] if c["network"] == network]
        size = " x ".join(map(str, cases[0]["shape"][:-1]))
        lines += [
            "",
            f"### {network}, {cases[0]['sampling']}: {size}",
            "",
            tables.markdown([HEAD, *map(_row, cases)]),
        ]
    return "\n".join(lines)


def _row(case: dict) -> tuple[str, ...]:
    if "error" in case:
        return (case["form"], case["error"], "", "", "")
    return (
        f"{case['env']}, {case['form']}",
        f"{1e3 * min(case['seconds']):.0f}",
        f"{case['ratio']:.2f}",
        f"{case['peak_mb']:,.0f}",
        f"{case['disk_mb']:.0f}" if "disk_mb" in case else "",
    )


if __name__ == "__main__":
    main()
