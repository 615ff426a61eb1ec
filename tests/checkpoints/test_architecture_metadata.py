"""Architecture metadata: of models, as JSON, and invalid ones."""

import pytest

import nonlocal_tf as nl
from nonlocal_tf.checkpoints import architecture_metadata
from nonlocal_tf.checkpoints.errors import CheckpointError
from nonlocal_tf.layers import EmbeddedGaussian
from tests.checkpoints.shallow_resnets import build
from tests.models.tiny import without_weights


def outline(name, **options):
    with without_weights():
        return build(name, **options)


BLOCK = {"pool_position": "before", "subsample": [1, 2, 2]}


@pytest.mark.parametrize(
    ("name", "options", "expected"),
    [
        ("image", {}, {"stride_on": "3x3", "pool_padding": 1}),
        (
            "i3d",
            {"stem": "mmaction2", "stride_on": "1x1"},
            {
                "stride_on": "1x1",
                "stem": "mmaction2",
                "frames": 8,
                "inflation": "3x1x1",
            },
        ),
        (
            "c2d_nl2",
            {"sampling": "32x4", "clip_shape": (None, 32, 32, 3)},
            {
                "stride_on": "3x3",
                "stem": "official",
                "pairwise": "embedded_gaussian",
                "scale": "rsqrt",
                "axes": "spacetime",
                "nonlocal_groups": {"res3": 4},
                **BLOCK,
            },
        ),
        ("c2d_nl1_small", {}, {}),
    ],
)
def test_metadata_are_inferred_from_layers(name, options, expected):
    make = nl.create_model if name.endswith("small") else outline
    metadata = architecture_metadata.metadata_of(make(name, **options))
    assert metadata == expected


def test_metadata_round_trip_through_json():
    model = outline("c2d_nl2", pairwise="gaussian", scale=0.5)
    metadata = architecture_metadata.loads(architecture_metadata.dumps(model))
    assert metadata["scale"] == 0.5
    assert metadata == architecture_metadata.metadata_of(model)


def test_the_default_scale_of_a_layer_is_one():
    model = outline("c2d_nl1", pairwise=EmbeddedGaussian())
    assert architecture_metadata.metadata_of(model)["scale"] == 1.0


def test_pool_position_needs_a_pool():
    options = {"subsample": None, "pool_position": "after"}
    metadata = architecture_metadata.metadata_of(
        outline("c2d_nl1", nonlocal_block=options)
    )
    assert metadata["subsample"] is None
    assert "pool_position" not in metadata


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
        '{"position": "cosine"}',
        '{"heads": 0}',
        '{"gate": []}',
        '{"causal": 1}',
    ],
)
def test_invalid_metadata_are_refused(text):
    with pytest.raises(CheckpointError, match="arguments of create_model"):
        architecture_metadata.loads(text)
