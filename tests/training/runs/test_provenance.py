import pytest

from training.runs import provenance
from training.runs.provenance import WeightSource
from training.runs.run_folder import RunFolder


@pytest.mark.parametrize(
    ("sources", "words"),
    [
        ([], ["random numbers"]),
        (None, ["not recorded", "CC-BY-NC 4.0"]),
        (
            [WeightSource("i3d.pkl", "caffe2")],
            ["`i3d.pkl`", "CC-BY-NC 4.0", "named"],
        ),
        ([WeightSource("x.pyth", "slowfast")], ["`x.pyth`", "PySlowFast's"]),
        (
            [WeightSource("y.keras", "keras")],
            ["`y.keras`", "if it was converted"],
        ),
    ],
)
def test_the_licence_follows_what_the_weights_came_from(sources, words):
    text = provenance.licences(sources)
    assert all(word in text for word in words)


def test_where_a_file_lay_is_not_told():
    assert "/home" not in provenance.licences(
        [WeightSource("/home/me/a.pkl", "caffe2")]
    )


def test_a_run_remembers_them(tmp_path):
    run = RunFolder(tmp_path)
    assert run.read_provenance() is None
    run.write_provenance([WeightSource("i3d.pkl", "caffe2")])
    assert run.read_provenance() == [WeightSource("i3d.pkl", "caffe2")]


def test_a_run_from_random_weights_says_so(tiny):
    assert RunFolder(tiny[0]).read_provenance() == []
