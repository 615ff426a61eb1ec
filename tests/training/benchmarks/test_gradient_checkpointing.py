"""The benchmark of gradient checkpointing: a case, and its table."""

import argparse
import json
import pathlib

import pytest

from training.benchmarks import gradient_checkpointing as benchmark


@pytest.mark.full
def test_a_case_has_memory_and_time():
    options = argparse.Namespace(network="c2d_r50", px=8, steps=1)
    gigabytes, seconds = benchmark.measure_case(
        options, "8x8", 1, benchmark.CHECKPOINTED
    )
    assert gigabytes >= 0 and seconds > 0


def test_ratios_are_to_the_plain_network():
    rows = [
        ["32x2", 1, "plain", 2.0, 4.0],
        ["32x2", 1, "checkpointed", 1.0, 5.0],
        ["32x2", 4, "plain", None, None],
        ["32x2", 4, "checkpointed", 4.0, 9.0],
    ]
    result = {"machine": "CPU", "network": "n", "px": 8, "steps": 2}
    text = benchmark.render({**result, "rows": rows})
    assert "| 32x2 | 1 | 2.00 | 1.00 | 4.00 | 5.00 | 0.50 | 1.25 |" in text
    assert "| 32x2 | 4 | not run | 4.00 | not run | 9.00 | | |" in text


@pytest.mark.parametrize(
    ("code", "expected"), [("-9", [None, None]), ("1", None)]
)
def test_a_killed_process_has_no_figures(monkeypatch, code, expected):
    killed = benchmark.subprocess.CompletedProcess([], int(code), "")
    monkeypatch.setattr(benchmark.subprocess, "run", lambda *_, **__: killed)
    if expected is None:
        with pytest.raises(benchmark.subprocess.CalledProcessError):
            benchmark.in_process(["32x2", 1, "plain"])
    else:
        assert benchmark.in_process(["32x2", 1, "plain"]) == expected


def test_the_readme_has_the_figures():
    folder = pathlib.Path(benchmark.__file__).parent
    path = folder / "gradient_checkpointing.json"
    text = (folder / "README.md").read_text("utf-8")
    assert benchmark.render(json.loads(path.read_text("utf-8"))) in text
