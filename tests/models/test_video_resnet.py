"""Arguments of the networks on clips and images."""

import pytest

from nonlocal_tf.layers import DotProduct, NonLocalBlock
from nonlocal_tf.models import backbones
from tests.layers.blocks import tensorflow_only
from tests.models.tiny import outline, shallow_outline

# The structure does not depend on the backend.
pytestmark = tensorflow_only


def block_of(model):
    (block,) = (x for x in model.layers if isinstance(x, NonLocalBlock))
    return block


@pytest.mark.parametrize("sampling", backbones.SAMPLINGS)
def test_sampling_sets_the_frames(sampling):
    model = shallow_outline(
        "c2d", sampling=sampling, clip_shape=None, num_classes=400
    )
    frames = int(sampling.split("x")[0])
    assert model.input_shape == (None, frames, 224, 224, 3)
    assert model.output_shape == (None, 400)


def test_default_block_is_that_of_the_authors_code():
    block = block_of(outline("c2d_nl1_r50"))
    assert block.name == "res4_block4_nonlocal"
    assert block.pool_size == (1, 2, 2)
    assert block.pool_position == "before"
    assert (block.scale, block.norm, block.gamma_init) == ("rsqrt", "batch", 0)


@pytest.mark.parametrize(
    ("places", "expected"),
    [
        ("res3", ["res3_block2_nonlocal"]),
        (
            {"res2": (2,), "res5": (0, 1)},
            [
                "res2_block2_nonlocal",
                "res5_block0_nonlocal",
                "res5_block1_nonlocal",
            ],
        ),
    ],
)
def test_nonlocal_places(places, expected):
    model = outline("c2d_nl1_r50", nonlocal_places=places)
    blocks = [x.name for x in model.layers if isinstance(x, NonLocalBlock)]
    assert blocks == expected


@pytest.mark.parametrize(
    ("pairwise", "scale"),
    [
        ("gaussian", None),
        ("embedded_gaussian", "rsqrt"),
        ("dot_product", None),
        ("concatenation", None),
    ],
)
def test_default_scale_of_each_pairwise_function(pairwise, scale):
    block = block_of(shallow_outline("c2d", pairwise=pairwise))
    assert getattr(block.pairwise, "scale", None) == scale


def test_custom_pairwise_layer():
    block = block_of(shallow_outline("c2d", pairwise=DotProduct()))
    assert type(block.pairwise) is DotProduct


def test_scale_of_one():
    assert block_of(shallow_outline("c2d", scale=1)).pairwise.scale == 1.0


def test_position_is_that_of_the_blocks():
    assert block_of(shallow_outline("c2d")).position is None
    assert block_of(shallow_outline("c2d", position="sine")).position == "sine"


@pytest.mark.parametrize(
    ("axes", "pool"), [("space", (1, 2, 2)), ("time", (1, 1, 1))]
)
def test_axes_set_the_pool_size(axes, pool):
    block = block_of(shallow_outline("c2d", axes=axes))
    assert (block.axes, block.pool_size) == (axes, pool)


@pytest.mark.parametrize(
    ("groups", "expected"), [({"res3": 2}, 2), ({}, None), (None, 4)]
)
def test_nonlocal_groups_of_long_clips(groups, expected):
    block = block_of(
        shallow_outline(
            "c2d",
            nonlocal_groups=groups,
            sampling="32x4",
            clip_shape=(16, 32, 32, 3),
        )
    )
    assert block.temporal_group_size == expected


def test_long_clips_have_groups_at_res3_only():
    block = block_of(outline("c2d_nl1_r50", sampling="32x4"))
    assert block.name.startswith("res4")
    assert block.temporal_group_size is None


@pytest.mark.parametrize(
    ("norm", "expected"), [("batch", True), ("none", False)]
)
def test_bn_synchronized_blocks(norm, expected):
    model = shallow_outline(
        "c2d", bn_synchronized=True, nonlocal_block={"norm": norm}
    )
    assert block_of(model).bn_synchronized is expected


def test_other_arguments_of_a_block():
    model = shallow_outline("c2d", nonlocal_block={"gamma_init": 0.25})
    assert block_of(model).gamma_init == 0.25


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"sampling": "16x8"}, "Unknown sampling '16x8'"),
        ({"stem": "slofast"}, "Did you mean 'slowfast'"),
        ({"head": "classifier"}, "Did you mean 'classification'"),
        ({"outputs": "logit"}, "Did you mean 'logits'"),
        ({"norm": "none"}, "Unknown norm 'none'"),
        ({"inflation": "3x1x1"}, "C2D has no temporal kernels"),
        ({"norm": "affine", "bn_synchronized": True}, "goes with norm='bat"),
        ({"norm": "affine", "zero_init_residual": True}, "are not trained"),
        ({"crop_px": 0}, "`crop_px` to be an integer of at least 1"),
        ({"stride_on": "2x2"}, "Unknown stride_on '2x2'"),
        ({"nonlocal_places": "res3"}, "goes with a model that has non-local"),
        ({"nonlocal_groups": {"res3": 2}}, "goes with a model that has non-l"),
        ({"nonlocal_block": {"norm": "none"}}, "goes with a model that has"),
        ({"pairwise": "gaussian"}, "list_models.*pairwise='gaussian' for c2d"),
        ({"scale": 1}, "goes with a model that has non-local"),
        ({"axes": "time"}, "goes with a model that has non-local"),
        ({"clip_shape": (64, 64, 3)}, "Expected the shape of clips"),
        ({"clip_shape": (8, 4, 64, 3)}, r"at least \(2, 5, 5\).*come last"),
        ({"clip_shape": (1, 64, 64, 3)}, r"at least \(2, 5, 5\)"),
        ({"clip_shape": (8, 64, 64, 0)}, "None or integers of at least 1"),
        ({"clip_shape": (8, 64, True, 3)}, "None or integers of at least 1"),
        ({"num_classes": "10"}, "integer of at least 1"),
        ({"head": "none", "outputs": "probabilities"}, "no probabilities"),
    ],
)
def test_invalid_values_are_errors(options, message):
    with pytest.raises(ValueError, match=message):
        outline("c2d_r50", **options)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"nonlocal_places": {}}, "at least one place"),
        ({"nonlocal_places": ("res3",)}, "a stage or places by stage"),
        (
            {"nonlocal_groups": {"res4": None}},
            "integer of at least 1 per stage",
        ),
        ({"nonlocal_block": {"bn_epsilon": 1e-3}}, "epsilon of 1e-5"),
        ({"scale": 10**400}, "a positive number"),
        ({"nonlocal_places": "res6"}, "Did you mean 'res"),
        ({"nonlocal_groups": {"re4": 2}}, "Did you mean 'res4'"),
        ({"nonlocal_groups": {"res3": 2}}, "Expected one of: res4"),
        ({"nonlocal_block": {"axes": "time"}}, "the argument `axes`"),
        (
            {"nonlocal_block": {"temporal_group_size": 2}},
            "the argument `nonlocal_groups`",
        ),
        ({"scale": 1, "pairwise": "dot_product"}, "Gaussian functions alone"),
    ],
)
def test_invalid_values_for_blocks_are_errors(options, message):
    with pytest.raises(ValueError, match=message):
        outline("c2d_nl1_r50", **options)


@pytest.mark.parametrize(
    ("stem", "smallest"),
    [
        ("official", (2, 5, 5)),
        ("official_strided", (8, 5, 5)),
        ("slowfast", (2, 1, 1)),
        ("mmaction2", (8, 1, 1)),
    ],
)
def test_smallest_clip_has_one_position(stem, smallest):
    model = shallow_outline(
        "i3d",
        nonlocal_res3=(),
        clip_shape=(*smallest, 3),
        stem=stem,
        head="none",
    )
    assert model.output_shape[1:4] == (1, 1, 1)


def test_misspelt_argument_is_an_error():
    with pytest.raises(TypeError, match="Did you mean 'num_classes'"):
        outline("i3d_nl5_r50", n_classes=10)


def test_unknown_inflation_is_an_error():
    with pytest.raises(ValueError, match="Expected one of: 3x1x1, 3x3x3"):
        outline("i3d_r50", inflation="3x3x1")


@pytest.mark.parametrize("backbone", ["image", "i3d"])
def test_stride_on(backbone):
    for stride_on, expected in (("3x3", [1, 2]), ("1x1", [2, 1])):
        model = shallow_outline(backbone, stride_on=stride_on)
        convs = (model.get_layer(f"res4_block0_conv{i}") for i in (1, 2))
        assert [conv.strides[-1] for conv in convs] == expected


def test_fully_convolutional_image_network_is_an_error():
    with pytest.raises(ValueError, match="no fully convolutional"):
        outline("image_r50", head="fully_convolutional")
