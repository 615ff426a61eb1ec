"""Learning rates of parts of a network."""

import pytest

import nonlocal_tf as nl
from nonlocal_tf import detection
from training.io.user_error import UserError
from training.loop import parameter_rates


@pytest.fixture(scope="module")
def model():
    return nl.create_model("c2d_nl1_small", clip_shape=(2, 16, 16, 3))


def rates(model, **settings):
    return parameter_rates.rates(model, **settings)


def test_rates_fall_from_the_classifier_to_the_first_stage(model):
    factors = rates(model, layer_decay=0.5)
    assert factors["stage1_conv2/kernel"] == 0.5**4
    assert factors["stage1_conv1_bn/gamma"] == 0.5**4
    assert factors["stage2_conv1/kernel"] == 0.5**3
    assert factors["stage2_nonlocal/theta/kernel"] == 0.5**3
    assert factors["head_conv/kernel"] == 0.5
    assert "logits/kernel" not in factors
    paths = {weight.path for weight in model.trainable_variables}
    assert factors.keys() == paths - {"logits/kernel", "logits/bias"}


def test_new_parts_have_rates_of_their_own(model):
    factors = rates(model, part_rates="logits=10, nonlocal=1e1")
    blocks = {
        weight.path
        for weight in model.get_layer("stage2_nonlocal").trainable_variables
    }
    assert factors == dict.fromkeys(
        {"logits/kernel", "logits/bias", *blocks}, 10.0
    )
    both = rates(model, layer_decay=0.5, part_rates="nonlocal=3")
    assert both["stage2_nonlocal/g/kernel"] == 3 * 0.5**3
    assert rates(model) == {}


TEXTS = [
    *("res9=2", "logits", "logits=", "logits=-1", "logits=1e999"),
    "logits=1,logits=2",
    "stage1=0,stage2=0,stage3=0,nonlocal=0,head=0,logits=0",  # none is trained
]


@pytest.mark.parametrize("text", TEXTS)
def test_parts_and_factors_that_are_none_are_refused(text, model):
    with pytest.raises(UserError, match=r"optimizer\.part_rates"):
        rates(model, part_rates=text)


def test_factors_that_are_no_text_are_refused(model):
    with pytest.raises(UserError, match=r"such as logits=10"):
        rates(model, part_rates={"logits": 10})


@pytest.mark.parametrize("layer_decay", [0, -0.5, 2, float("nan")])
def test_a_decay_outside_of_0_to_1_is_refused(layer_decay, model):
    with pytest.raises(UserError, match="layer_decay"):
        rates(model, layer_decay=layer_decay)


def test_frozen_parts_have_no_rate():
    frozen = nl.create_model("c2d_nl1_small", clip_shape=(2, 16, 16, 3))
    nl.freeze(frozen, "stage1")
    factors = rates(frozen, layer_decay=0.5)
    assert not any(path.startswith("stage1") for path in factors)
    with pytest.raises(UserError, match="Received: 'stage1'"):
        rates(frozen, part_rates="stage1=2")


def test_heads_of_a_detector_have_the_whole_rate():
    detector = detection.create_detector("small", ["dog"], nonlocal_block={})
    factors = rates(detector, layer_decay=0.5, part_rates="nonlocal=3")
    assert factors["res4_block0_conv1/kernel"] == 0.25
    assert factors["res4_block0_nonlocal/g/kernel"] == 0.75
    assert factors["res5_block0_conv2/kernel"] == 0.5
    assert not {path for path in factors if path.startswith(("fpn", "box"))}
