"""What weights do not show: read off a model, noted, and read again."""

import pytest

from nonlocal_tf.checkpoints import architecture_metadata
from nonlocal_tf.checkpoints.errors import CheckpointError
from nonlocal_tf.layers import EmbeddedGaussian
from tests.models.tiny import outline

OF_BLOCK = {"pool_position": "before", "subsample": [1, 2, 2]}


@pytest.mark.parametrize(
    ("name", "options", "expected"),
    [
        ("image_r50", {}, {"stride_on": "3x3", "pool_padding": 1}),
        (
            "i3d_r50",
            {"stem": "mmaction2", "stride_on": "1x1"},
            {
                "stride_on": "1x1",
                "stem": "mmaction2",
                "frames": 8,
                "inflation": "3x1x1",
            },
        ),
        (
            "c2d_nl5_r50",
            {"sampling": "32x4", "clip_shape": (None, 64, 64, 3)},
            {
                "stride_on": "3x3",
                "stem": "official",
                "pairwise": "embedded_gaussian",
                "scale": "rsqrt",
                "axes": "spacetime",
                "nonlocal_groups": {"res3": 4},
                **OF_BLOCK,
            },
        ),
        ("c2d_nl1_small", {}, {}),
    ],
)
def test_the_arguments_of_a_network_are_read_off_its_layers(
    name, options, expected
):
    if name.endswith("small"):
        import nonlocal_tf as nl

        assert (
            architecture_metadata.metadata_of(nl.create_model(name)) == expected
        )
    else:
        assert (
            architecture_metadata.metadata_of(outline(name, **options))
            == expected
        )


def test_a_note_is_read_again():
    model = outline("c2d_nl5_r50", pairwise="gaussian", scale=0.5)
    noted = architecture_metadata.loads(architecture_metadata.dumps(model))
    assert noted["scale"] == 0.5
    assert noted == architecture_metadata.metadata_of(model)


def test_a_factor_that_is_not_given_is_one():
    model = outline("c2d_nl1_r50", pairwise=EmbeddedGaussian())
    assert architecture_metadata.metadata_of(model)["scale"] == 1.0


def test_the_place_of_no_pool_does_not_matter():
    options = {"subsample": None, "pool_position": "after"}
    noted = architecture_metadata.metadata_of(
        outline("c2d_nl1_r50", nonlocal_block=options)
    )
    assert noted["subsample"] is None
    assert "pool_position" not in noted


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "[" * 100_000,
        '{"path": "a"}',
        '{"frames": 0}',
        '{"frames": true}',
        '{"stem": 1}',
        '{"stem": "slofast"}',
        '{"stem": ["official"]}',
        '{"axes": []}',
        '{"subsample": 2}',
        '{"scale": Infinity}',
        '{"scale": 1' + 400 * "0" + "}",
        '{"pool_padding": true}',
        '{"frames": 1' + 400 * "0" + "}",
        b"{}",
        5,
        [],
        '{"nonlocal_groups": {"res6": 4}}',
        '{"scale": -1}',
        '{"scale": NaN}',
        '{"nonlocal_groups": {"res3": "4"}}',
    ],
)
def test_a_note_that_is_none_of_ours_is_refused(text):
    with pytest.raises(CheckpointError, match="arguments of create_model"):
        architecture_metadata.loads(text)
