import json

from training.runs import report_tests
from training.runs.run_folder import RunFolder


def test_there_is_no_section_without_tests(tmp_path):
    assert report_tests.section(RunFolder(tmp_path)) == ""


def test_each_test_is_a_row(tmp_path):
    for name, figures in {
        "test_10x3": {
            "views": "10 clips x 3 crops",
            "accuracy": 0.5,
            "top5": 0.75,
            "reading_seconds": 1.25,
            "computing_seconds": 30.0,
        },
        "validation_middle": {"accuracy": 0.25},
    }.items():
        (tmp_path / "tests" / name).mkdir(parents=True)
        path = tmp_path / "tests" / name / "metrics.json"
        path.write_text(json.dumps(figures))
    lines = report_tests.section(RunFolder(tmp_path)).splitlines()
    assert lines[0] == "## Tests"
    cells = [cell.strip() for cell in lines[4].strip("|").split("|")]
    assert cells == [
        "test_10x3",
        "10 clips x 3 crops",
        "50.0 %",
        "75.0 %",
        "1.2 s",
        "30.0 s",
    ]
    assert "25.0 %" in lines[5]


def test_precision_of_a_detector_is_shown(tmp_path):
    metrics = {"annotations": "a|b.json", "box_AP": 0.5, "mask_AP": -1.0}
    folder = tmp_path / "tests" / "validation"
    folder.mkdir(parents=True)
    (folder / "metrics.json").write_text(json.dumps(metrics))
    *_, row = report_tests.section(RunFolder(tmp_path)).splitlines()
    assert "validation" in row and "0.500" in row
    assert row.count(" - ") == 1  # there is no object with a mask
    assert "keypoint AP" not in report_tests.section(RunFolder(tmp_path))
