"""The benchmark beside torchvision: its table is that of its figures."""

import json
import pathlib

from training.benchmarks import detectors

ROOT = pathlib.Path(detectors.__file__).parent


def test_the_table_is_that_of_the_figures():
    result = json.loads((ROOT / "detectors.json").read_text("utf-8"))
    readme = (ROOT / "README.md").read_text("utf-8")
    assert detectors.render(result) in readme


def test_both_found_as_many_objects():
    result = json.loads((ROOT / "detectors.json").read_text("utf-8"))
    for task in detectors.PASSES:
        counts = [
            case["found"] for case in result["cases"] if case["pass"] == task
        ]
        assert len(counts) == 2 and counts[0] == counts[1] > 0
