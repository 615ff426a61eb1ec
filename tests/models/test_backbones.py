import dataclasses

import pytest

from nonlocal_tf.models import backbones, registry, video_resnet
from nonlocal_tf.models.backbones import PLACES, resnet_config
from tests.layers.blocks import tensorflow_only
from tests.models.tiny import without_weights


def test_c2d_has_no_temporal_kernels():
    config = resnet_config("c2d", 50)
    assert config.kernels_t == ((1,) * 3, (1,) * 4, (1,) * 6, (1,) * 3)
    assert not config.is_inflated


def test_i3d_is_inflated_like_the_authors_code():
    # Temporal radii of arc types 2 and 4, plus the center frame.
    config = resnet_config("i3d", 50)
    assert config.stem_kernel_t == 5
    assert config.kernels_t == (
        (3, 3, 3),
        (3, 1, 3, 1),
        (3, 1, 3, 1, 3, 1),
        (1, 3, 1),
    )
    deep = resnet_config("i3d", 101)
    assert deep.kernels_t[2] == tuple(3 if i % 2 == 0 else 1 for i in range(23))


@pytest.mark.parametrize("depth", backbones.DEPTHS)
@pytest.mark.parametrize("count", [1, 5, 10])
def test_number_of_nonlocal_blocks(count, depth):
    places = PLACES[count, depth]
    assert sum(map(len, places.values())) == count


def test_five_blocks_of_r50_follow_every_second_block():
    config = resnet_config("c2d", 50, PLACES[5, 50])
    assert config.nonlocal_after == ((), (1, 3), (1, 3, 5), ())


def test_five_blocks_of_r101_are_those_of_the_authors():
    # idx % 7 == 6 in res4, with LAYER_MOD 2 (mod 4 * 2 - 1).
    expected = tuple(i for i in range(23) if i % 7 == 6)
    assert PLACES[5, 101]["res4"] == expected


@pytest.mark.parametrize(
    ("stage", "expected"),
    [
        ("res2", ((1,), (), (), ())),
        ("res3", ((), (2,), (), ())),
        ("res4", ((), (), (4,), ())),
        ("res5", ((), (), (), (1,))),
    ],
)
def test_one_block_comes_before_the_last_of_its_stage(stage, expected):
    config = resnet_config("c2d", 50).with_one_block(stage)
    assert config.nonlocal_after == expected


def test_default_place_of_one_block_is_in_res4():
    for depth in backbones.DEPTHS:
        config = resnet_config("c2d", depth).with_one_block("res4")
        assert config == resnet_config("c2d", depth, PLACES[1, depth])


def test_unknown_place_is_an_error():
    with pytest.raises(ValueError, match=r"res3 from 0 to 3.*\[4\]"):
        resnet_config("c2d", 50, {"res3": (1, 4)})


def test_unknown_stage_is_an_error():
    with pytest.raises(ValueError, match="Did you mean 'res"):
        resnet_config("c2d", 50).with_one_block("res")
    with pytest.raises(ValueError, match="Unknown stage 'conv3'"):
        resnet_config("c2d", 50, {"conv3": (1,)})


@tensorflow_only
def test_new_depth_is_a_line_of_the_table(monkeypatch):
    monkeypatch.setattr(registry, "MODELS", {})
    monkeypatch.setitem(backbones.DEPTHS, 26, (2, 2, 3, 1))
    monkeypatch.setitem(backbones.PLACES, (2, 26), {"res3": (1,), "res4": (0,)})
    video_resnet.register_resnets("i3d")
    with without_weights():
        model = registry.create_model("i3d_nl2_r26", sampling="8x8")
    names = [layer.name for layer in model.layers]
    assert "res4_block0_nonlocal" in names
    assert "res4_block2_conv3" in names


def test_names_of_samplings():
    for name, sampling in backbones.SAMPLINGS.items():
        assert name == f"{sampling.frames}x{sampling.frame_stride}"
        assert sampling.stem in backbones.STEMS


def test_configs_are_frozen():
    with pytest.raises(dataclasses.FrozenInstanceError):
        resnet_config("c2d", 50).stem_kernel_t = 3


@pytest.mark.parametrize(
    ("field", "three"),
    [
        ("temporal_kernels", ((1,),) * 3),
        ("temporal_strides", (1, 1, 1)),
        ("spatial_strides", (2, 2, 2)),
        ("spatial_kernels", (3, 3, 3)),
    ],
)
def test_a_small_network_has_a_kernel_and_a_stride_for_each_stage(field, three):
    four = {
        "widths": (3, 5, 7, 11),
        "temporal_kernels": ((1,),) * 4,
        "temporal_strides": (1,) * 4,
    }
    backbones.ConvNetConfig(**four)
    four[field] = three
    with pytest.raises(ValueError, match=f"Expected {field} of 4 stages"):
        backbones.ConvNetConfig(**four)
