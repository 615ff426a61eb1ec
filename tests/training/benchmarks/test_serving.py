"""The benchmark of served models, at a size that takes seconds."""

import json
import pathlib

import pytest

from training.benchmarks import serving

ROOT = pathlib.Path(serving.__file__).parent


@pytest.mark.full
def test_all_forms_are_timed_and_weights_are_on_the_disk_once(monkeypatch):
    request = ("c2d_nl1_r50", "8x8", (8, 32, 32, 3))
    spec = serving.networks.backbones.resnet_config("c2d", 50)
    monkeypatch.setitem(serving.networks.NETWORKS, "c2d_nl1_r50", spec)
    result = serving.measure([request], rounds=1, cores=1)
    cases = {case["form"]: case for case in result["cases"]}
    assert set(cases) >= set(serving.FORMS) - {"modules"}
    for case in cases.values():
        assert case["seconds"] and case["peak_mb"] > 0
    whole = cases["SavedModel"]
    assert whole["weights_mb"] < whole["disk_mb"] < 1.15 * whole["weights_mb"]
    assert "| tf, SavedModel, int8 |" in serving.render(result)


def test_the_tables_are_those_of_the_figures():
    result = json.loads((ROOT / "serving.json").read_text("utf-8"))
    readme = (ROOT / "README.md").read_text("utf-8")
    assert serving.render(result) in readme
