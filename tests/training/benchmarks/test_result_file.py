import json

import pytest

from training.benchmarks import operators_tables, result_file


def test_a_result_is_replaced(tmp_path):
    path = tmp_path / "a.json"
    for number in (1, 2):
        result_file.check(path, lambda result: f"{result['n']}")
        result_file.write(path, {"n": number})
    assert json.loads(path.read_text()) == {"n": 2}


@pytest.mark.parametrize("text", ["theirs", "[1]", '{"n": 1}'])
def test_another_file_is_refused(tmp_path, text):
    path = tmp_path / "a.json"
    path.write_text(text)
    with pytest.raises(SystemExit, match="no result of this benchmark"):
        result_file.check(path, operators_tables.render)
    assert path.read_text() == text
