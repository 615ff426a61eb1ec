"""Networks that recompute features in backpropagation."""

import keras
import numpy as np
import pytest

from nonlocal_tf.models import small_convnet
from nonlocal_tf.models.backbones import ConvNetConfig
from nonlocal_tf.models.gradient_checkpointing import CheckpointedModel
from tests.harness import array, normal
from tests.layers.blocks import full_on_jax
from tests.models.tiny import outline

CLIP = (4, 7, 6, 3)
CONFIG = ConvNetConfig(
    widths=(5, 7),
    temporal_kernels=((3,), (1,)),
    temporal_strides=(1, 2),
    nonlocal_after=(2,),
)
# Two steps sum the same numbers, in another order where a compiler fuses them.
ROUNDING = {"rtol": 1e-4, "atol": 1e-5}


def network(is_checkpointed):
    keras.utils.set_random_seed(3)
    return small_convnet.clip_convnet(
        CONFIG,
        num_classes=5,
        clip_shape=CLIP,
        dropout=0.4,
        nonlocal_block={"gamma_init": 1.0},
        gradient_checkpointing=is_checkpointed,
    )


def train(model, steps=2, **options):
    """Train a model, with the same dropout for all."""
    keras.utils.set_random_seed(4)  # PyTorch's dropout has no other
    for layer in model.layers:
        if isinstance(layer, keras.layers.Dropout):
            layer.seed_generator.state.assign([0, 7])
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    options = {"jit_compile": False, **options}
    model.compile(keras.optimizers.SGD(0.1), loss, **options)
    labels = np.array([0, 3, 2])
    model.fit(normal((3, *CLIP)), labels, batch_size=3, epochs=steps, verbose=0)
    return [array(weight) for weight in model.weights]


@full_on_jax
@pytest.mark.parametrize(
    "policy",
    ["float32", pytest.param("mixed_bfloat16", marks=pytest.mark.full)],
)
def test_weights_and_statistics_after_steps_are_those_without(policy):
    keras.config.set_dtype_policy(policy)
    try:
        plain, model = network(False), network(True)
    finally:
        keras.config.set_dtype_policy("float32")
    paths = [weight.path for weight in plain.weights]
    assert [weight.path for weight in model.weights] == paths
    start = [array(weight).copy() for weight in model.weights]
    expected = train(plain)
    for path, first, weight, same in zip(
        paths, start, train(model), expected, strict=True
    ):
        assert np.abs(same - first).max() > 0, path
        np.testing.assert_allclose(weight, same, **ROUNDING, err_msg=path)


@pytest.mark.skipif(
    keras.backend.backend() == "jax", reason="JAX traces a layer once"
)
def test_layers_of_blocks_alone_are_called_again(monkeypatch):
    model = network(True)
    calls = []
    call = keras.layers.Conv3D.call

    def count(self, inputs):
        calls.append(self.name)
        return call(self, inputs)

    monkeypatch.setattr(keras.layers.Conv3D, "call", count)
    train(model, steps=1, run_eagerly=True)
    assert calls.count("stage1_conv1") == calls.count("head_conv") + 1
    assert calls.count("stage2_conv1") == calls.count("head_conv") + 1


def test_blocks_of_resnet_end_after_their_nonlocal_block():
    model = outline("i3d_nl5_r50", gradient_checkpointing=True)
    blocks = [s.function for s in model._segments if s.is_block]
    names = [block.operations[-1].name for block in blocks]
    assert len(names) == 3 + 4 + 6 + 3
    assert names[:5] == [
        "res2_block0_relu",
        "res2_block1_relu",
        "res2_block2_relu",
        "res3_block0_relu",
        "res3_block1_nonlocal",
    ]


def test_files_are_those_of_the_plain_network(tmp_path):
    plain, model = network(False), network(True)
    x = normal((2, *CLIP))
    plain.set_weights([w + 0.1 for w in plain.get_weights()])
    plain.save_weights(tmp_path / "plain.weights.h5")
    model.load_weights(tmp_path / "plain.weights.h5")
    np.testing.assert_array_equal(array(model(x)), array(plain(x)))
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    assert type(loaded) is CheckpointedModel
    np.testing.assert_array_equal(array(loaded(x)), array(plain(x)))


def test_a_connection_around_a_block_is_refused():
    inputs = keras.Input((3,))
    first = keras.layers.Dense(3, name="stage1_dense")(inputs)
    second = keras.layers.Dense(3, name="stage2_dense")(first)
    outputs = keras.layers.Dense(2)(second + inputs)
    with pytest.raises(ValueError, match="Expected blocks one after the other"):
        CheckpointedModel(inputs, outputs)


def test_several_outputs_are_refused():
    inputs = keras.Input((3,))
    with pytest.raises(ValueError, match="2 outputs"):
        CheckpointedModel(inputs, [inputs + 1, inputs + 2])
