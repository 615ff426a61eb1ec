import argparse
import json
import pathlib
import sys

import pytest

from training.benchmarks import operators, operators_tables

PEAK = {"gflops": 100.0, "gbytes": 20.0}


def options(**changed):
    defaults = {"only": None, "rounds": 2, "cores": 1, "device": "cpu"}
    defaults["environments"] = ["tf"]
    defaults["torch_python"] = sys.executable
    return argparse.Namespace(**{**defaults, **changed})


def case(function, passed="forward", n=700, m=300, d=50):
    return {"function": function, "n": n, "m": m, "d": d, "pass": passed}


@pytest.mark.parametrize(
    ("function", "passed", "flops"),
    [
        ("softmax", "forward", 4 * 700 * 300 * 50),
        ("softmax", "train", 12 * 700 * 300 * 50),
        ("dot_product", "forward", 2 * 1000 * 50 * 50),
        ("dot_product", "train", 6 * 1000 * 50 * 50),
    ],
)
def test_matrix_products_take_their_flops_at_the_peak(function, passed, flops):
    seconds, bound = operators_tables.limit_seconds(
        case(function, passed), PEAK
    )
    assert bound == "flops"
    assert seconds == pytest.approx(flops / 100e9)


def test_concatenation_takes_its_bytes_at_the_speed_of_a_copy():
    seconds, bound = operators_tables.limit_seconds(case("concatenation"), PEAK)
    assert bound == "bytes"
    assert seconds == pytest.approx(4 * 50 * (700 + 300) / 20e9)


@pytest.fixture(scope="module")
def result():
    """Result of an existing and a missing method on a tiny shape."""
    methods = ("sideways", "plain")
    cases = dict.fromkeys(operators.CASES, ())
    cases["dot_product"] = tuple(("tf", False, method) for method in methods)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(operators, "SHAPES", ((20, 12, 6),))
        patch.setattr(operators, "SMALLEST_MEMORY", 20 * 12)
        patch.setattr(operators, "CASES", cases)
        yield operators.measure(options(only="dot_product"))


@pytest.mark.full
def test_every_case_takes_its_turn_in_every_round(result):
    assert len(result["cases"]) == 4
    for case in result["cases"]:
        if case["method"] != "sideways":
            assert len(case["seconds"]) == 2
            assert case["finite"]


@pytest.mark.full
def test_the_first_case_is_the_base(result):
    ratios = [case.get("ratio") for case in result["cases"]]
    assert ratios == [None, 1.0, None, 1.0]  # of those that run


@pytest.mark.full
def test_a_case_that_fails_does_not_stop_the_others(result):
    errors = [case.get("error") for case in result["cases"]]
    assert "Unknown method 'sideways'" in errors[0]
    assert errors[1] is None


@pytest.mark.full
def test_every_case_has_a_row(result):
    table = operators_tables.render(result)
    assert "| 20, 12, 6 | tf plain |" in table
    assert "| 20, 12, 6 | tf sideways | failed |" in table


@pytest.mark.full
def test_a_block_is_timed_beside_its_parts(monkeypatch):
    monkeypatch.setattr(operators, "BLOCKS", {"tiny": (1, 2, 4, 4, 6)})
    monkeypatch.setattr(operators, "FUNCTIONS", ("gaussian",))
    result = operators.measure(options(only="block"))
    assert [row["pass"] for row in result["blocks"]] == ["forward", "train"] * 2
    table = operators_tables.render(result)
    assert "| tiny | gaussian | 1 x 2 x 2 |" in table
    assert "by one product, to three: tiny forward x" in table


def test_a_block_has_a_row_for_each_peer():
    common = {"name": "res3", "subsample": [1, 2, 2], "seconds": [0.02, 0.01]}
    peers = [
        {**common, "pass": passed, "env": env, "method": method, "ratio": 1.5}
        for passed in ("forward", "train")
        for env, method in operators.PEERS
    ]
    peers[-1] = {**peers[-1], "error": "no compiler"}
    table = operators_tables._peer_table({"peers": peers})
    assert "| res3 | 1 x 2 x 2 | tf ours | 10.0 | 1.50 | 10.0 | 1.50 |" in table
    assert "| torch compiled | 10.0 | 1.50 | failed |" in table


def timed(method, passed, seconds, **figures):
    shape = {"function": "concatenation", "n": 3136, "m": 3136, "d": 256}
    how = {"env": "tf", "xla": False, "method": method, "pass": passed}
    return {**shape, **how, "seconds": seconds, **figures}


def test_a_bar_is_the_median_over_the_rounds():
    cases = [
        timed("plain", "train", [24.0, 30.0, 26.0]),
        timed("auto", "train", [2.0, 2.0, 13.0]),  # x 12, 15 and 2
    ]
    ((what, value, reached),) = operators_tables.bars({"cases": cases})
    assert what.startswith("concatenation 3136 x 3136 train: times tf plain")
    assert (value, reached) == (12.0, True)


def test_a_bar_that_is_missed_is_told():
    cases = [
        timed("plain", "train", [22.0]),
        timed("auto", "train", [2.0]),
    ]
    assert [
        reached for *_, reached in operators_tables.bars({"cases": cases})
    ] == [False]


def figures(function, **changed):
    result = {
        "machine": "one",
        "device": "cpu",
        "cores": 1,
        "versions": {},
        "cases": [{"function": function, "of": changed.get("machine", "one")}],
        "blocks": [],
        "projections": [],
        "long": ["a row"] if function == "softmax" else [],
    }
    return {**result, **changed}


def test_figures_that_were_not_measured_anew_are_kept():
    merged = operators.merge(figures("softmax"), figures("dot_product"))
    functions = [case["function"] for case in merged["cases"]]
    assert functions == ["softmax", "dot_product"]
    assert merged["long"] == ["a row"]


def test_figures_of_two_machines_are_not_mixed():
    with pytest.raises(SystemExit, match="results of machine=one"):
        operators.merge(figures("softmax"), figures("softmax", machine="two"))


def test_without_a_gpu_its_list_is_not_run():
    chosen = options(device="gpu", environments=["jax"])
    result = operators.measure(chosen)
    if result["versions"]:
        pytest.skip("there is a GPU")
    assert "not run" in operators_tables.render(result)


FOLDER = pathlib.Path(operators.__file__).parent
GUIDE = FOLDER.parents[1] / "docs" / "pages"


def published():
    return json.loads((FOLDER / "operators.json").read_text("utf-8"))


def test_the_published_tables_are_those_of_the_figures():
    text = (FOLDER / "README.md").read_text("utf-8")
    assert operators_tables.render(published()) in text


def test_the_figures_of_the_guide_are_those_of_the_benchmark():
    text = (GUIDE / "layer.md").read_text("utf-8")
    rows = operators_tables.summary(published())
    assert len(rows) == 4
    for row in rows:
        assert row in text
