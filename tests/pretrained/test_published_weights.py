"""The table of published weights."""

import collections

import pytest

import nonlocal_tf as nl
from nonlocal_tf.pretrained import published_weights


def test_names_are_unique_for_each_network():
    pairs = [(row.network, row.name) for row in published_weights.ROWS]
    assert [p for p, n in collections.Counter(pairs).items() if n > 1] == []


def test_files_are_unique_in_a_mirror():
    files = collections.Counter(row.file for row in published_weights.ROWS)
    assert [file for file, count in files.items() if count > 1] == []


def test_a_digest_is_read_off_the_name_of_the_file():
    (row,) = (
        row
        for row in nl.list_weights("i3d_nl5_r50")
        if row.name == "k400_32x2_mmaction2_gaussian"
    )
    name = (
        "i3d_imagenet-pretrained-r50-nl-gaussian_8xb8-32x2x1-100e_"
        "kinetics400-rgb"
    )
    assert row.address == (
        "https://download.openmmlab.com/mmaction/v1.0/recognition/i3d/"
        f"{name}/{name}_20220812-0c5cbf5a.pth"
    )
    assert row.sha256 == "0c5cbf5a"


def test_authors_publish_no_digest():
    assert {
        row.sha256
        for row in nl.list_weights()
        if row.source in ("authors", "slowfast", "pytorchvideo")
    } == {""}


def test_rows_are_listed_by_network():
    rows = nl.list_weights("c2d_nl5*")
    assert {row.network for row in rows} == {"c2d_nl5_r50"}
    assert nl.list_weights("nothing") == ()


def test_a_table_is_printed():
    head, *rows = repr(nl.list_weights("c2d_nl5_r50")).splitlines()
    assert head.split() == ["network", "weights", "license", "accuracy"]
    assert rows[1].startswith("c2d_nl5_r50  k400_8x8_authors   CC-BY-NC 4.0")


@pytest.mark.parametrize(
    ("network", "message"),
    [
        ("i3d_r50", "Unknown weights of i3d_r50 'k400_8x8_author'.*authors"),
        ("i3d_nl1_small", "No weights of 'i3d_nl1_small' are published"),
    ],
)
def test_an_unknown_name_is_an_error(network, message):
    with pytest.raises(ValueError, match=message):
        published_weights.find(network, "k400_8x8_author")
