import inspect

import keras
import numpy as np
import pytest

from nonlocal_tf.layers import (
    PAIRWISE,
    EmbeddedGaussian,
    NonLocalBlock,
    Pairwise,
)
from nonlocal_tf.layers import pairwise as pairwise_table
from tests import harness
from tests.harness import normal
from tests.layers.blocks import (
    DTYPE,
    TOLERANCE,
    active_block,
    array,
    attend_by_loops,
    dense,
    embed_by_loops,
    tensorflow_only,
)

INPUT_SHAPES = {
    "sequence": (2, 7, 6),
    "image": (2, 5, 3, 6),
    "clip": (2, 3, 5, 2, 6),
}
ON_JAX = keras.backend.backend() == "jax"
CLIP = INPUT_SHAPES["clip"]
if ON_JAX:  # compiles for every shape
    INPUT_SHAPES = {"clip": CLIP}
# Weights without a gradient. Batch normalization subtracts what out's bias adds
# to all positions. The rows of a softmax sum to one, so g's bias adds a
# constant before it, and phi's bias adds the same to all logits of a row.
WITHOUT_GRADIENT = {
    "gaussian": ("out/bias", "g/bias"),
    "embedded_gaussian": ("out/bias", "g/bias", "phi/bias"),
    "efficient": ("out/bias", "g/bias", "phi/bias"),
    "global_context": ("out/bias", "g/bias"),
}


@pytest.fixture(params=sorted(INPUT_SHAPES))
def input_shape(request):
    return INPUT_SHAPES[request.param]


def loop_block(block, x, pairwise):
    """Compute the block on an example `(n, channels)` by loops."""
    theta, phi = embed_by_loops(block, x)
    y = attend_by_loops(block, pairwise, theta, phi, dense(x, block.g))
    return x + dense(y, block.out)


def test_block_as_a_layer(pairwise):
    harness.check_layer(
        lambda **options: NonLocalBlock(pairwise, **options), CLIP
    )


def test_saving_and_training_step(pairwise, tmp_path):
    inputs = keras.Input(CLIP[1:])
    block = NonLocalBlock(pairwise, gamma_init=1.0, name="block")
    model = keras.Model(inputs, keras.layers.Dense(3)(block(inputs)))
    x = normal(CLIP)
    constant = WITHOUT_GRADIENT.get(pairwise, ("out/bias",))
    harness.check_training_step(model, x, constant)
    harness.check_saving(model, x, tmp_path)


def test_value_equals_the_double_loop(pairwise, input_shape):
    block = active_block(pairwise, dtype=DTYPE)
    block.build(input_shape)
    harness.randomise(block)
    x = normal(input_shape, dtype=DTYPE)
    expected = [
        loop_block(block, example.reshape(-1, 6).astype("float64"), pairwise)
        for example in x
    ]
    y = array(block(x)).reshape(2, -1, 6)
    np.testing.assert_allclose(y, expected, rtol=TOLERANCE, atol=TOLERANCE)


@pytest.mark.parametrize("norm", ["batch", "affine", "none"])
def test_block_is_initialized_as_the_identity(norm):
    x = normal(CLIP)
    block = NonLocalBlock(norm=norm)
    for training in (False, True):
        np.testing.assert_array_equal(array(block(x, training=training)), x)


def test_gamma_init_scales_the_residual():
    x = normal(CLIP)
    residuals = []
    for gamma_init in (0.5, 1.0):
        keras.utils.set_random_seed(3)
        block = NonLocalBlock(gamma_init=gamma_init)
        residuals.append(array(block(x, training=True)) - x)
    assert np.abs(residuals[1]).max() > 0.01
    np.testing.assert_allclose(
        residuals[1], 2 * residuals[0], rtol=1e-4, atol=1e-5
    )


def test_bottleneck_is_half_of_the_channels_by_default():
    block = NonLocalBlock()
    block.build((None, None, 6))
    assert block.theta.kernel.shape == (6, 3)
    assert block.out.kernel.shape == (3, 6)


def test_bottleneck_sets_the_channels():
    block = NonLocalBlock(bottleneck=5)
    block.build((None, None, 6))
    assert block.g.kernel.shape == (6, 5)


def test_gaussian_compares_all_channels_without_projections():
    block = NonLocalBlock("gaussian")
    block.build((None, None, 6))
    paths = {weight.path.split("/", 1)[1] for weight in block.weights}
    assert not any("theta" in p or "phi" in p for p in paths)


def test_weight_paths_are_an_interface():
    block = NonLocalBlock("concatenation", name="stage3_nonlocal")
    block.build((None, None, 6))
    assert sorted(weight.path for weight in block.weights) == [
        "stage3_nonlocal/bn/beta",
        "stage3_nonlocal/bn/gamma",
        "stage3_nonlocal/bn/moving_mean",
        "stage3_nonlocal/bn/moving_variance",
        "stage3_nonlocal/g/bias",
        "stage3_nonlocal/g/kernel",
        "stage3_nonlocal/out/bias",
        "stage3_nonlocal/out/kernel",
        "stage3_nonlocal/pairwise/w_f",
        "stage3_nonlocal/phi/bias",
        "stage3_nonlocal/phi/kernel",
        "stage3_nonlocal/theta/bias",
        "stage3_nonlocal/theta/kernel",
    ]


@pytest.mark.parametrize(
    "initializer",
    [
        "he_normal",
        keras.initializers.HeNormal(seed=3),
        keras.initializers.HeNormal(seed=keras.random.SeedGenerator(3)),
        keras.initializers.RandomNormal(stddev=0.01),
    ],
)
@pytest.mark.parametrize("tied", [False, True])
def test_theta_and_phi_are_equal_at_first_if_tied(initializer, tied):
    block = NonLocalBlock(
        kernel_initializer=initializer, tie_theta_phi_init=tied
    )
    block.build((None, None, 6))
    theta, phi, g = (
        array(layer.kernel) for layer in (block.theta, block.phi, block.g)
    )
    assert (theta == phi).all() == tied
    assert (theta != g).any()


def test_tied_theta_and_phi_are_separate_weights():
    block = NonLocalBlock(tie_theta_phi_init=True)
    block.build((None, None, 6))
    block.theta.kernel.assign(block.theta.kernel + 1.0)
    assert (array(block.theta.kernel) != array(block.phi.kernel)).any()


def test_global_seed_sets_the_tied_weights():
    kernels = []
    for seed in (3, 3, 5):
        keras.utils.set_random_seed(seed)
        block = NonLocalBlock(tie_theta_phi_init=True)
        block.build((None, None, 6))
        kernels.append(array(block.theta.kernel))
    np.testing.assert_array_equal(kernels[0], kernels[1])
    assert (kernels[0] != kernels[2]).any()


def test_scale_reaches_the_pairwise_function():
    x = normal((2, 7, 6))
    block = NonLocalBlock(scale=1e-6)
    block(x)
    np.testing.assert_allclose(array(block.affinity(x)), 1 / 7, rtol=1e-4)


def test_config_of_a_pairwise_layer():
    block = NonLocalBlock(EmbeddedGaussian(scale="rsqrt"))
    restored = NonLocalBlock.from_config(block.get_config())
    assert restored.pairwise.scale == "rsqrt"


def test_blocks_do_not_share_a_pairwise_layer():
    shared = PAIRWISE["concatenation"]()
    for channels in (6, 10):
        block = NonLocalBlock(shared)
        block.build((None, 7, channels))
        assert tuple(block.pairwise.w_f.shape) == (channels, 1)


def test_custom_pairwise_function_is_saved(tmp_path):
    @pairwise_table.register_pairwise("mean")
    @keras.saving.register_keras_serializable("tests")
    class Mean(Pairwise):
        """Uniform attention."""

        def call(self, theta, phi, g):
            return 0.0 * theta[..., :1] + keras.ops.mean(g, 1, keepdims=True)

    try:
        inputs = keras.Input((7, 6))
        block = NonLocalBlock("mean", gamma_init=1.0)
        model = keras.Model(inputs, block(inputs))
        harness.check_saving(model, normal((2, 7, 6)), tmp_path)
    finally:
        del PAIRWISE["mean"]


def test_frozen_block_ignores_training(tmp_path):
    inputs = keras.Input((7, 6))
    block = NonLocalBlock(gamma_init=1.0, trainable=False)
    model = keras.Model(inputs, block(inputs))
    path = tmp_path / "model.keras"
    model.save(path)
    x = normal((2, 7, 6))
    for frozen in (model, keras.models.load_model(path)):
        assert not frozen.trainable_weights
        np.testing.assert_array_equal(
            array(frozen(x, training=True)), array(frozen(x, training=False))
        )


@pytest.mark.parametrize("shape", [(2, 6), (2, 1, 2, 3, 4, 6), (2, 7, None)])
def test_other_ranks_and_unknown_channels_are_errors(shape):
    with pytest.raises(ValueError, match="rank 3, 4 or 5"):
        NonLocalBlock().build(shape)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"norm": "bach"}, "Did you mean 'batch'"),
        ({"norm": "none", "gamma_init": 1.0}, "needs a normalization"),
        ({"norm": "none", "freeze_norm": True}, "need a normalization"),
        ({"norm": "affine", "bn_synchronized": True}, "goes with norm='batch'"),
        ({"bottleneck": 0}, "Expected `bottleneck`"),
        ({"bottleneck": 2.5}, "Expected `bottleneck`"),
        ({"temporal_group_size": 0}, "Expected `temporal_group_size`"),
        ({"temporal_group_size": 2, "axes": "time"}, "goes with axes="),
        ({"axes": "spacetme"}, "Did you mean 'spacetime'"),
        ({"pool_position": "befor"}, "Did you mean 'before'"),
        ({"subsample": 0}, "Expected `subsample`"),
        ({"subsample": (2, 0)}, "Expected `subsample`"),
        ({"subsample": (1, 2, 2, 1)}, "Expected `subsample`"),
        ({"pairwise": "dot_product", "scale": 2.0}, "Gaussian functions alone"),
        ({"pairwise": EmbeddedGaussian(), "scale": 2.0}, "has its own"),
        ({"pairwise": "gaussian", "tie_theta_phi_init": True}, "needs a pair"),
    ],
)
def test_invalid_options_are_errors(options, message):
    with pytest.raises(ValueError, match=message):
        NonLocalBlock(**options)


@pytest.mark.parametrize("value", ["x", [1], 1.5, float("nan")])
@pytest.mark.parametrize(
    "name",
    sorted(
        set(inspect.signature(NonLocalBlock.__init__).parameters)
        - {"self", "kwargs"}
    ),
)
def test_a_value_of_another_type_is_an_error_that_names_it(name, value):
    numbers, right = {"scale", "gamma_init", "bn_epsilon"}, ("subsample", [1])
    if (value == 1.5 and name in numbers) or (name, value) == right:
        return
    with pytest.raises((ValueError, TypeError), match=name) as error:
        NonLocalBlock(**{name: value})
    assert repr(value) in str(error.value)


@pytest.mark.parametrize("queries", [[1.5], [[1]], [60], "a"])
def test_wrong_queries_are_an_error_in_a_functional_model_too(queries):
    for x in (keras.Input((4, 5, 3, 6)), normal((2, 4, 5, 3, 6))):
        with pytest.raises(ValueError, match="`queries`"):
            NonLocalBlock()(x, return_affinity=True, queries=queries)


@pytest.mark.parametrize("name", ["kernel_initializer", "out_initializer"])
def test_initializer_that_cannot_be_saved_is_an_error(name):
    with pytest.raises(TypeError, match=f"Expected `{name}`"):
        NonLocalBlock(**{name: lambda shape, dtype=None: 0.0})


@pytest.mark.parametrize("norm", ["batch", "affine"])
def test_frozen_norm_stays_frozen(norm):
    x = normal((2, 7, 6))
    block = NonLocalBlock(norm=norm, gamma_init=1.0, freeze_norm=True)
    frozen = array(block(x, training=False))
    block.trainable = False
    block.trainable = True
    np.testing.assert_array_equal(array(block(x, training=True)), frozen)
    names = {weight.path.split("/")[-2] for weight in block.trainable_weights}
    assert names == {"theta", "phi", "g", "out"}


def test_frozen_norm_keeps_its_statistics_if_set_trainable():
    x = normal((2, 7, 6))
    block = NonLocalBlock(gamma_init=1.0, freeze_norm=True)
    frozen = array(block(x, training=False))
    block.bn.trainable = True
    np.testing.assert_array_equal(array(block(x, training=True)), frozen)
    np.testing.assert_array_equal(array(block.bn.moving_mean), np.zeros(6))


def test_bn_momentum_is_the_share_of_the_old_statistics():
    x = normal((2, 7, 6))
    blocks = [NonLocalBlock(bn_momentum=m) for m in (0.0, 0.7)]
    for block in blocks:
        block.build(x.shape)
        block.set_weights(blocks[0].get_weights())
    for block in blocks:
        block(x, training=True)
    new, mixed = (array(block.bn.moving_mean) for block in blocks)
    assert np.abs(new).min() > 0
    # The statistics were zero; to a rounding of float32.
    np.testing.assert_allclose(mixed, 0.3 * new, rtol=1e-5)


@tensorflow_only
def test_bn_synchronized():
    block = NonLocalBlock(bn_synchronized=True)
    block.build((None, None, 6))
    assert block.bn.synchronized


def test_out_without_a_bias():
    block = NonLocalBlock(out_bias=False)
    block.build((None, None, 6))
    assert [weight.name for weight in block.out.weights] == ["kernel"]


def test_affine_paths_are_an_interface():
    block = NonLocalBlock(norm="affine", name="res3_nonlocal")
    block.build((None, None, 6))
    assert [w.path for w in block.affine.weights] == [
        "res3_nonlocal/affine/gamma",
        "res3_nonlocal/affine/beta",
    ]


def test_unknown_method_is_an_error():
    with pytest.raises(ValueError, match="Did you mean 'sorted'"):
        PAIRWISE["concatenation"](method="sortd")


def test_frozen_pairwise_layer_stays_frozen():
    block = NonLocalBlock(PAIRWISE["concatenation"](trainable=False))
    block.build((None, None, 6))
    assert not block.pairwise.trainable_weights
    assert block.theta.trainable_weights


def test_numpy_numbers_in_the_config():
    block = NonLocalBlock(
        bottleneck=np.int64(4), subsample=np.int32(2), scale=np.float32(0.5)
    )
    config = block.get_config()
    assert (config["bottleneck"], config["subsample"]) == (4, 2)
    assert config["scale"] == 0.5
