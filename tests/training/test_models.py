import pytest

import nonlocal_tf as nl
from training import models
from training.io import cli


def run(*arguments):
    return cli.run(models.main, list(arguments))


def test_without_arguments_it_lists_the_networks(capsys):
    assert run() == 0
    out = capsys.readouterr().out
    for name in nl.list_models():
        assert f"\n  {name}\n" in out
    assert models.EXAMPLE in out


def test_a_pattern_filters_the_networks(capsys):
    assert run("--list", "i3d_nl5_*") == 0
    listed = capsys.readouterr().out.split("\n\n")[0].split()
    assert listed == ["Models:", "i3d_nl5_r101", "i3d_nl5_r50"]


def test_a_summary_is_the_table_of_the_network(capsys):
    assert run("--summary", "c2d_r50", "--sampling", "8x8") == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "c2d_r50"
    assert lines[-1].split() == ["total", "24,327,632", "19.29", "G"]


def test_a_summary_of_another_clip_and_inflation(capsys):
    options = ("--shape", "8x256x256", "--inflation", "3x3x3")
    assert run("--summary", "i3d_r50", "--sampling", "8x8", *options) == 0
    out = capsys.readouterr().out
    assert "8 x 128 x 128 x 64" in out
    assert "1x1x1, 64; 3x3x3, 64; 1x1x1, 256" in out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--summary", "c2d_r5"), "Did you mean 'c2d_r50'"),
        (("--summary", "c2d_r50", "--inflation", "3x3x3"), "goes with I3D"),
        (("--summary", "c2d_r50", "--shape", "8x256"), "as many sizes"),
        (("--sampling", "8x8"), "Give --summary NAME"),
        (("--summary", "image_r50", "--sampling", "8x8"), "sampling"),
    ],
)
def test_user_errors_are_one_line(arguments, message, capsys):
    assert run(*arguments) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1
