"""Parts of networks that are not trained."""

import keras
import numpy as np
import pytest

import nonlocal_tf as nl
from tests.harness import array, normal

CLIP = (2, 16, 12, 3)


def small(name="c2d_nl1_small"):
    return nl.create_model(
        name,
        num_classes=3,
        clip_shape=CLIP,
        nonlocal_block={"gamma_init": 1.0},
    )


def trained_layers(model):
    """Names of the layers of which training changes any value."""
    before = {
        layer.name: [array(value) for value in layer.weights]
        for layer in model.layers
    }
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.SGD(0.1), loss)
    model.fit(normal((4, *CLIP)), np.array([0, 1, 2, 0]), verbose=0)
    return [
        layer.name
        for layer in model.layers
        if any(
            not np.array_equal(old, array(new))
            for old, new in zip(before[layer.name], layer.weights, strict=True)
        )
    ]


@pytest.mark.parametrize(
    ("parts", "trained"),
    [
        ("stage1, stage2", ["stage2_nonlocal", "stage3", "head", "logits"]),
        (["stage1", "nonlocal"], ["stage2", "stage3", "head", "logits"]),
        ("all", ["logits"]),
    ],
)
def test_frozen_parts_keep_weights_and_statistics(parts, trained):
    model = small()
    frozen = nl.freeze(model, parts)
    changed = trained_layers(model)
    expected = [
        layer.name
        for layer in model.layers
        if layer.weights
        and any(
            layer.name == part
            or (layer.name.startswith(part) and "_nonlocal" not in layer.name)
            for part in trained
        )
    ]
    assert changed == expected
    weighted = [layer.name for layer in model.layers if layer.weights]
    assert sorted(frozen + changed) == sorted(weighted)


def test_a_frozen_normalization_uses_its_moving_statistics():
    model = small()
    nl.freeze(model, "all")
    x = normal((3, *CLIP))
    features = keras.Model(model.input, model.get_layer("pool").output)
    np.testing.assert_array_equal(
        array(features(x, training=True)), array(features(x, training=False))
    )


def test_layers_of_nested_models_are_parts():
    x = inputs = keras.Input((9, 8, 3))
    backbone = keras.Sequential(
        [
            keras.Input((9, 8, 3)),
            keras.layers.Conv2D(4, 3, name="conv1"),
            nl.NonLocalBlock(name="block"),
        ],
        name="backbone",
    )
    x = keras.layers.GlobalAveragePooling2D()(backbone(x))
    model = keras.Model(inputs, keras.layers.Dense(2, name="classes")(x))
    assert nl.freeze(model, "conv1") == ["conv1"]
    assert backbone.get_layer("block").trainable_variables
    assert nl.freeze(model, "all") == ["conv1", "block"]
    names = [weight.path for weight in model.trainable_variables]
    assert names == ["classes/kernel", "classes/bias"]


def test_a_part_that_does_not_exist_lists_those_that_do():
    expected = "stage1, stage2, nonlocal, stage3, head, logits or all"
    with pytest.raises(ValueError, match=f"{expected}. Received: 'res2'"):
        nl.freeze(small(), "stage1,res2")


def test_a_model_without_anything_to_train_is_refused():
    model = small()
    with pytest.raises(ValueError, match="left to train"):
        nl.freeze(model, ["all", "logits"])
    assert len(model.trainable_variables) > 2  # and nothing was frozen
    assert nl.freeze(model, ()) == []
