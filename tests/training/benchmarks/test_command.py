import argparse
import json

import pytest

from training.benchmarks import command, operators_tables


def options_of(**values):
    return argparse.Namespace(**{"out": None, "render": None, **values})


def test_a_result_is_replaced(tmp_path, capsys):
    path = tmp_path / "a.json"
    for number in (1, 2):
        command.run(
            options_of(out=path),
            lambda options, n=number: {"n": n},
            lambda result: f"{result['n']}",
        )
    assert json.loads(path.read_text()) == {"n": 2}
    assert capsys.readouterr().out == "1\n2\n"


def test_render_prints_a_stored_result(tmp_path, capsys):
    path = tmp_path / "a.json"
    path.write_text('{"n": 3}')
    command.run(
        options_of(render=path), pytest.fail, lambda result: f"{result['n']}"
    )
    assert capsys.readouterr().out == "3\n"


@pytest.mark.parametrize("text", ["theirs", "[1]", '{"n": 1}'])
def test_another_file_is_refused(tmp_path, text):
    path = tmp_path / "a.json"
    path.write_text(text)
    with pytest.raises(SystemExit, match="not a result of this benchmark"):
        command.run(options_of(out=path), pytest.fail, operators_tables.render)
    assert path.read_text() == text
