"""Arguments of the networks on clips and images."""

import pytest

from nonlocal_tf import models
from nonlocal_tf.layers import DotProduct, NonLocalBlock
from tests.layers.blocks import tensorflow_only
from tests.models.tiny import outline, without_weights


def blocks_of(model):
    return {
        layer.name: layer
        for layer in model.layers
        if isinstance(layer, NonLocalBlock)
    }


@pytest.mark.parametrize(
    ("sampling", "frames"), [("8x8", 8), ("32x2", 32), ("32x4", 32)]
)
def test_the_sampling_says_how_many_frames_a_clip_has(sampling, frames):
    with without_weights():
        model = models.create_model("c2d_r50", sampling=sampling, width=2)
    assert model.input_shape == (None, frames, 224, 224, 3)
    assert model.output_shape == (None, 400)


def test_blocks_are_those_of_the_authors_code():
    block = blocks_of(outline("c2d_nl1_r50"))["res4_block4_nonlocal"]
    assert block.pool_size == (1, 2, 2)
    assert block.pool_position == "before"
    assert (block.scale, block.norm, block.gamma_init) == ("rsqrt", "batch", 0)


@pytest.mark.parametrize("stage", ["res2", "res3", "res4", "res5"])
def test_one_block_in_any_stage(stage):
    model = outline("c2d_nl1_r50", nonlocal_places=stage)
    (name,) = blocks_of(model)
    assert name.startswith(stage)


def test_blocks_anywhere():
    model = outline(
        "c2d_nl1_r50", nonlocal_places={"res2": (2,), "res5": (0, 1)}
    )
    assert list(blocks_of(model)) == [
        "res2_block2_nonlocal",
        "res5_block0_nonlocal",
        "res5_block1_nonlocal",
    ]


@pytest.mark.parametrize(
    "pairwise",
    ["gaussian", "embedded_gaussian", "dot_product", "concatenation"],
)
def test_any_pairwise_function(pairwise):
    blocks = blocks_of(outline("c2d_nl5_r50", pairwise=pairwise)).values()
    scales = {getattr(block.pairwise, "scale", None) for block in blocks}
    expected = "rsqrt" if pairwise == "embedded_gaussian" else None
    assert scales == {expected}


def test_a_pairwise_layer_of_ones_own():
    blocks = blocks_of(outline("c2d_nl1_r50", pairwise=DotProduct()))
    assert type(blocks["res4_block4_nonlocal"].pairwise) is DotProduct


def test_the_papers_scale_is_one():
    blocks = blocks_of(outline("c2d_nl1_r50", scale=1))
    assert blocks["res4_block4_nonlocal"].pairwise.scale == 1.0


@pytest.mark.parametrize(
    ("axes", "pool"),
    [
        ("spacetime", (1, 2, 2)),
        ("space", (1, 2, 2)),
        ("time", (1, 1, 1)),
    ],
)
def test_any_axes(axes, pool):
    blocks = blocks_of(outline("c2d_nl5_r50", axes=axes)).values()
    assert {(block.axes, block.pool_size) for block in blocks} == {(axes, pool)}


def test_groups_of_frames_can_be_asked_for_and_done_without():
    for groups, expected in (({"res3": 2}, 2), ({}, None), (None, 4)):
        model = outline("c2d_nl5_r50", nonlocal_groups=groups, sampling="32x4")
        block = blocks_of(model)["res3_block1_nonlocal"]
        assert block.temporal_group_size == expected


@tensorflow_only
def test_blocks_are_synchronised_if_they_have_statistics():
    for norm, expected in (("batch", True), ("none", False)):
        model = outline(
            "c2d_nl1_r50", bn_synchronized=True, nonlocal_block={"norm": norm}
        )
        block = blocks_of(model)["res4_block4_nonlocal"]
        assert block.bn_synchronized is expected


def test_other_arguments_of_a_block():
    model = outline("c2d_nl1_r50", nonlocal_block={"gamma_init": 0.5})
    assert blocks_of(model)["res4_block4_nonlocal"].gamma_init == 0.5


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
def test_a_bad_value_is_refused(options, message):
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
def test_a_bad_value_for_blocks_is_refused(options, message):
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
def test_the_smallest_clip_leaves_one_position(stem, smallest):
    model = outline(
        "i3d_r50", clip_shape=(*smallest, 3), stem=stem, head="none"
    )
    assert model.output_shape[1:4] == (1, 1, 1)


def test_a_misspelt_argument_is_told():
    with pytest.raises(TypeError, match="Did you mean 'num_classes'"):
        outline("i3d_nl5_r50", n_classes=10)


def test_an_unknown_inflation_is_refused():
    with pytest.raises(ValueError, match="Expected one of: 3x1x1, 3x3x3"):
        outline("i3d_r50", inflation="3x3x1")


@pytest.mark.parametrize("name", ["image_r50", "i3d_r50"])
def test_a_network_has_the_stride_where_it_is_asked(name):
    for stride_on, expected in (("3x3", [1, 2]), ("1x1", [2, 1])):
        model = outline(name, stride_on=stride_on)
        convs = (model.get_layer(f"res4_block0_conv{i}") for i in (1, 2))
        assert [conv.strides[-1] for conv in convs] == expected


def test_an_image_network_has_no_fully_convolutional_head():
    with pytest.raises(ValueError, match="no fully convolutional"):
        outline("image_r50", head="fully_convolutional")
