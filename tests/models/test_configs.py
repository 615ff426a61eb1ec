import dataclasses

import pytest

from nonlocal_tf.models import configs, registry, video_resnet
from nonlocal_tf.models.configs import PLACES, resnet_config
from tests.models.tiny import without_weights


def test_c2d_sees_one_frame_at_a_time():
    spec = resnet_config("c2d", 50)
    assert spec.kernels_t == ((1,) * 3, (1,) * 4, (1,) * 6, (1,) * 3)
    assert not spec.is_inflated


def test_i3d_inflates_as_the_authors_code_lists():
    # Temporal radii of arc types 2 and 4, plus the frame itself.
    spec = resnet_config("i3d", 50)
    assert spec.stem_kernel_t == 5
    assert spec.kernels_t == (
        (3, 3, 3),
        (3, 1, 3, 1),
        (3, 1, 3, 1, 3, 1),
        (1, 3, 1),
    )
    deep = resnet_config("i3d", 101)
    assert deep.kernels_t[2] == tuple(3 if i % 2 == 0 else 1 for i in range(23))


@pytest.mark.parametrize("depth", configs.DEPTHS)
@pytest.mark.parametrize("count", [1, 5, 10])
def test_there_are_as_many_blocks_as_the_name_says(count, depth):
    places = PLACES[count, depth]
    assert sum(map(len, places.values())) == count


def test_the_five_of_r50_follow_every_second_block():
    spec = resnet_config("c2d", 50, PLACES[5, 50])
    assert spec.nonlocal_after == ((), (1, 3), (1, 3, 5), ())


def test_the_five_of_r101_are_the_authors():
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
def test_one_block_comes_right_before_the_last_of_its_stage(stage, expected):
    spec = resnet_config("c2d", 50).with_one_block(stage)
    assert spec.nonlocal_after == expected


def test_the_default_place_of_one_block_is_that_of_res4():
    for depth in configs.DEPTHS:
        one = resnet_config("c2d", depth).with_one_block("res4")
        assert one == resnet_config("c2d", depth, PLACES[1, depth])


def test_a_place_that_is_not_there_is_refused():
    with pytest.raises(ValueError, match=r"res3 from 0 to 3.*\[4\]"):
        resnet_config("c2d", 50, {"res3": (1, 4)})


def test_a_stage_that_is_not_there_is_refused():
    with pytest.raises(ValueError, match="Did you mean 'res"):
        resnet_config("c2d", 50).with_one_block("res")
    with pytest.raises(ValueError, match="Unknown stage 'conv3'"):
        resnet_config("c2d", 50, {"conv3": (1,)})


def test_a_depth_or_a_place_is_a_line_in_a_table(monkeypatch):
    monkeypatch.setattr(registry, "MODELS", {})
    monkeypatch.setitem(configs.DEPTHS, 152, (3, 8, 36, 3))
    monkeypatch.setitem(configs.PLACES, (2, 152), {"res3": (3,), "res4": (17,)})
    video_resnet.register_resnets("i3d")
    with without_weights():
        model = registry.create_model("i3d_nl2_r152", sampling="8x8")
    names = [layer.name for layer in model.layers]
    assert "res4_block17_nonlocal" in names
    assert "res4_block35_conv3" in names


def test_samplings_are_frames_times_their_distance():
    for name, sampling in configs.SAMPLINGS.items():
        assert name == f"{sampling.frames}x{sampling.frame_stride}"
        assert sampling.stem in configs.STEMS


def test_specs_do_not_change():
    with pytest.raises(dataclasses.FrozenInstanceError):
        resnet_config("c2d", 50).stem_kernel_t = 3
