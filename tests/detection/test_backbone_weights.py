"""ImageNet weights of backbones."""

import pickle

import keras
import numpy as np
import pytest

import nonlocal_tf as nl
from nonlocal_tf import detection
from nonlocal_tf.detection import DetectorConfig, MaskRCNN

LAYERS = (1, 1, 2, 1)


def detectron_arrays(rng, config):
    """Return random weights of a network by Detectron's names."""
    arrays = {}

    def layer(name, size, inputs, outputs, norm):
        shape = (outputs, inputs, size, size)
        arrays[f"{name}_w"] = rng.normal(size=shape).astype("float32")
        for suffix in "sb":
            values = rng.normal(size=outputs).astype("float32")
            arrays[f"{norm}_bn_{suffix}"] = values

    layer("conv1", 7, 3, config.width, "res_conv1")
    arrays["conv1_b"] = rng.normal(size=config.width).astype("float32")
    inputs = config.width
    for stage, count in enumerate(config.layers):
        inner = config.inner_width * 2**stage
        outputs = 4 * config.width * 2**stage
        for number in range(count):
            name = f"res{stage + 2}_{number}_branch"
            shapes = [
                ("2a", 1, inputs, inner),
                ("2b", 3, inner // config.groups, inner),
                ("2c", 1, inner, outputs),
            ]
            shapes += [("1", 1, inputs, outputs)] * (number == 0)
            for suffix, size, before, after in shapes:
                layer(name + suffix, size, before, after, name + suffix)
            inputs = outputs
    arrays["fc1000_w"] = np.zeros((5, inputs), "float32")
    arrays["fc1000_b"] = np.zeros(5, "float32")
    return arrays


@pytest.mark.parametrize(
    "options",
    [
        {"stride_on": "1x1", "nonlocal_block": {}},
        {"groups": 2, "group_width": 4},
    ],
)
def test_weights_of_detectron_are_loaded(tmp_path, options):
    config = DetectorConfig(3, LAYERS, width=4, **options)
    model = MaskRCNN(config)
    head = model.box_head.get_layer("box_fc1").kernel.numpy()
    arrays = detectron_arrays(np.random.default_rng(0), config)
    path = tmp_path / "R-50.pkl"
    path.write_bytes(pickle.dumps({"blobs": arrays}, protocol=2))
    report = detection.load_backbone_weights(model, path)
    conv = model.pyramid.get_layer("res4_block1_conv2").kernel.numpy()
    expected = arrays["res4_1_branch2b_w"].transpose(2, 3, 1, 0)
    np.testing.assert_array_equal(conv, expected)
    affine = model.pyramid.get_layer("conv1_affine")
    np.testing.assert_array_equal(
        affine.gamma.numpy(), arrays["res_conv1_bn_s"]
    )
    assert set(report.unused) == {"fc1000_w", "fc1000_b"}
    assert "conv1_b" in report.ignored
    assert report.differences == ()
    after = model.box_head.get_layer("box_fc1").kernel.numpy()
    np.testing.assert_array_equal(after, head)


def test_features_equal_those_of_a_keras_resnet(tmp_path):
    keras.utils.set_random_seed(0)
    resnet = keras.applications.ResNet50(weights=None, input_shape=(64, 96, 3))
    for layer in resnet.layers:  # as after training
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.moving_mean.assign(layer.moving_mean + 0.1)
            layer.moving_variance.assign(layer.moving_variance * 1.3)
    path = tmp_path / "resnet50.weights.h5"
    resnet.save_weights(path)
    model = MaskRCNN(DetectorConfig(3, stride_on="1x1"))
    detection.load_backbone_weights(model, path)
    x = np.random.default_rng(0).normal(size=(1, 64, 96, 3))
    x = x.astype("float32")
    reference = keras.Model(
        resnet.input, resnet.get_layer("conv5_block3_out").output
    )
    last = [
        layer for layer in model.pyramid.layers if layer.name.startswith("res5")
    ]
    ours = keras.Model(model.pyramid.input, last[-1].output)
    expected = reference(x).numpy()
    error = np.abs(ours(x).numpy() - expected).max()
    assert error <= 1e-4 * np.abs(expected).max()  # float32, 50 layers


def test_a_file_with_other_layers_is_rejected(tmp_path):
    config = DetectorConfig(3, LAYERS, width=4)
    arrays = detectron_arrays(np.random.default_rng(0), config)
    path = tmp_path / "R-50.pkl"
    path.write_bytes(pickle.dumps({"blobs": arrays}, protocol=2))
    model = MaskRCNN(DetectorConfig(3, (1, 1, 1, 1), width=4))
    with pytest.raises(nl.CheckpointError, match="res4_1"):
        detection.load_backbone_weights(model, path)
