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
from tests.layers.blocks import active_block, array, dense, tensorflow_only
from tests.ops import loops

INPUT_SHAPES = {
    "sequence": (2, 7, 6),
    "image": (2, 5, 3, 6),
    "clip": (2, 3, 5, 2, 6),
}
if keras.backend.backend() == "jax":  # which compiles for each shape anew
    INPUT_SHAPES = {"clip": INPUT_SHAPES["clip"]}


# Batch normalisation takes away what `out` adds to all positions. The rows of a
# softmax sum to one, so g's bias only adds a constant before it, and phi's adds
# the same to all logits of a row.
WITHOUT_GRADIENT = {
    "gaussian": ("out/bias", "g/bias"),
    "embedded_gaussian": ("out/bias", "g/bias", "phi/bias"),
    "dot_product": ("out/bias",),
    "concatenation": ("out/bias",),
}


@pytest.fixture(params=sorted(INPUT_SHAPES))
def input_shape(request):
    return INPUT_SHAPES[request.param]


def loop_block(block, x, pairwise):
    """The block on one example `(n, channels)`, by the paper's equations."""
    theta = phi = x
    if pairwise != "gaussian":
        theta, phi = dense(x, block.theta), dense(x, block.phi)
    g = dense(x, block.g)
    if pairwise == "dot_product":
        f = loops.dot_product_f(theta, phi)
    elif pairwise == "concatenation":
        w_f = block.pairwise.get_weights()[0][:, 0].astype("float64")
        f = loops.concatenation_f(theta, phi, w_f)
    else:
        f = loops.gaussian_f(theta, phi)
    y = loops.nonlocal_loop(f, g, pairwise.endswith("gaussian"))
    return x + dense(y, block.out)


def test_harness(pairwise, input_shape):
    harness.check_layer(
        lambda **options: NonLocalBlock(pairwise, **options), input_shape
    )


def test_saving_and_training_step(pairwise, input_shape, tmp_path):
    inputs = keras.Input(input_shape[1:])
    block = NonLocalBlock(pairwise, gamma_init=1.0, name="block")
    model = keras.Model(inputs, keras.layers.Dense(3)(block(inputs)))
    x = normal(input_shape)
    harness.check_training_step(model, x, WITHOUT_GRADIENT[pairwise])
    harness.check_saving(model, x, tmp_path)


def test_equals_the_double_loop_in_float64(pairwise, input_shape):
    if keras.backend.backend() == "jax":
        pytest.skip("JAX computes in float32 unless x64 is enabled")
    block = active_block(pairwise, dtype="float64")
    block.build(input_shape)
    harness.randomise(block, scale=1.0)
    x = normal(input_shape, dtype="float64")
    expected = [
        loop_block(block, example.reshape(-1, 6), pairwise) for example in x
    ]
    y = keras.ops.convert_to_numpy(block(x)).reshape(2, -1, 6)
    # Sums of at most 30 terms in 53 bits.
    np.testing.assert_allclose(y, expected, rtol=1e-12, atol=1e-12)


def test_equals_the_double_loop_in_float32(pairwise, input_shape):
    block = active_block(pairwise)
    block.build(input_shape)
    harness.randomise(block)
    x = normal(input_shape)
    expected = [
        loop_block(block, example.reshape(-1, 6).astype("float64"), pairwise)
        for example in x
    ]
    y = keras.ops.convert_to_numpy(block(x)).reshape(2, -1, 6)
    # 24 bits, with exponentials of logits up to about 10.
    np.testing.assert_allclose(y, expected, rtol=2e-5, atol=2e-5)


@pytest.mark.parametrize("norm", ["batch", "affine", "none"])
@pytest.mark.parametrize("training", [False, True])
def test_starts_as_the_identity(pairwise, norm, training):
    x = normal((2, 3, 5, 2, 6))
    y = NonLocalBlock(pairwise, norm=norm)(x, training=training)
    np.testing.assert_array_equal(array(y), x)


def test_gamma_init_scales_what_the_block_adds(pairwise):
    x = normal((2, 3, 5, 2, 6))
    added = []
    for gamma_init in (0.5, 1.0):
        keras.utils.set_random_seed(3)
        block = NonLocalBlock(pairwise, gamma_init=gamma_init)
        added.append(array(block(x, training=True)) - x)
    assert np.abs(added[1]).max() > 0.01
    np.testing.assert_allclose(added[1], 2 * added[0], rtol=1e-4, atol=1e-5)


def test_half_of_the_channels_by_default():
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
def test_theta_and_phi_start_equal_if_tied_and_only_then(initializer, tied):
    block = NonLocalBlock(
        kernel_initializer=initializer, tie_theta_phi_init=tied
    )
    block.build((None, None, 6))
    theta, phi, g = (
        array(layer.kernel) for layer in (block.theta, block.phi, block.g)
    )
    assert (theta == phi).all() == tied
    assert (theta != g).any()


def test_tied_theta_and_phi_are_free_after_the_start():
    block = NonLocalBlock(tie_theta_phi_init=True)
    block.build((None, None, 6))
    block.theta.kernel.assign(block.theta.kernel + 1.0)
    assert (array(block.theta.kernel) != array(block.phi.kernel)).any()


def test_the_global_seed_decides_the_tied_start():
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


def test_a_pairwise_layer_can_be_given():
    block = NonLocalBlock(EmbeddedGaussian(scale="rsqrt"))
    again = NonLocalBlock.from_config(block.get_config())
    assert again.pairwise.scale == "rsqrt"


def test_a_pairwise_layer_may_be_given_to_several_blocks():
    shared = PAIRWISE["concatenation"]()
    for channels in (6, 10):
        block = NonLocalBlock(shared)
        x = normal((2, 7, channels))
        assert tuple(block(x).shape) == x.shape
        assert block.pairwise.w_f.path.endswith("/pairwise/w_f")


def test_a_function_of_ones_own_works_and_is_saved(tmp_path):
    @pairwise_table.register_pairwise("mean")
    @keras.saving.register_keras_serializable("tests")
    class Mean(Pairwise):
        """Looks everywhere alike."""

        def call(self, theta, phi, g):
            return 0.0 * theta[..., :1] + keras.ops.mean(g, 1, keepdims=True)

    try:
        inputs = keras.Input((7, 6))
        block = NonLocalBlock("mean", gamma_init=1.0)
        model = keras.Model(inputs, block(inputs))
        harness.check_saving(model, normal((2, 7, 6)), tmp_path)
    finally:
        del PAIRWISE["mean"]


def test_a_frozen_block_stays_as_it_is_also_when_training(tmp_path):
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
def test_other_ranks_and_unknown_channels_are_refused(shape):
    with pytest.raises(ValueError, match="rank 3, 4 or 5"):
        NonLocalBlock().build(shape)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"norm": "bach"}, "Did you mean 'batch'"),
        ({"norm": "none", "gamma_init": 1.0}, "need a normalization"),
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
def test_bad_options_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        NonLocalBlock(**options)


@pytest.mark.parametrize("name", ["kernel_initializer", "out_initializer"])
def test_an_initializer_that_cannot_be_saved_is_refused(name):
    with pytest.raises(TypeError, match=f"Expected `{name}`"):
        NonLocalBlock(**{name: lambda shape, dtype=None: 0.0})


@pytest.mark.parametrize("norm", ["batch", "affine"])
def test_a_frozen_norm_stays_frozen(norm):
    x = normal((2, 7, 6))
    block = NonLocalBlock(norm=norm, gamma_init=1.0, freeze_norm=True)
    frozen = array(block(x, training=False))
    block.trainable = False
    block.trainable = True
    np.testing.assert_array_equal(array(block(x, training=True)), frozen)
    names = {weight.path.split("/")[-2] for weight in block.trainable_weights}
    assert names == {"theta", "phi", "g", "out"}


def test_a_frozen_norm_keeps_its_statistics_when_layers_are_trained():
    """`layer.trainable = True` on every layer is a way to unfreeze a model."""
    x = normal((2, 7, 6))
    block = NonLocalBlock(gamma_init=1.0, freeze_norm=True)
    frozen = array(block(x, training=False))
    block.bn.trainable = True
    np.testing.assert_array_equal(array(block(x, training=True)), frozen)
    np.testing.assert_array_equal(array(block.bn.moving_mean), np.zeros(6))


def test_bn_momentum_is_the_share_of_the_old_statistics():
    x = normal((2, 7, 6))
    blocks = [NonLocalBlock(bn_momentum=share) for share in (0.0, 0.7)]
    for block in blocks:
        block.build(x.shape)
        block.set_weights(blocks[0].get_weights())
    for block in blocks:
        block(x, training=True)
    new, mixed = (array(block.bn.moving_mean) for block in blocks)
    assert np.abs(new).min() > 0
    # From zero on; to a rounding of float32.
    np.testing.assert_allclose(mixed, 0.3 * new, rtol=1e-5)


@tensorflow_only
def test_synchronised_batch_normalisation_is_asked_for():
    block = NonLocalBlock(bn_synchronized=True)
    block.build((None, None, 6))
    assert block.bn.synchronized


def test_out_can_do_without_a_bias():
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


def test_an_unknown_method_is_refused():
    with pytest.raises(ValueError, match="Did you mean 'sorted'"):
        PAIRWISE["concatenation"](method="sortd")


def test_a_frozen_pairwise_layer_stays_frozen():
    block = NonLocalBlock(PAIRWISE["concatenation"](trainable=False))
    block.build((None, None, 6))
    assert not block.pairwise.trainable_weights
    assert block.theta.trainable_weights


def test_numpy_numbers_are_numbers():
    block = NonLocalBlock(
        bottleneck=np.int64(4), subsample=np.int32(2), scale=np.float32(0.5)
    )
    config = block.get_config()
    assert (config["bottleneck"], config["subsample"]) == (4, 2)
    assert config["scale"] == 0.5
