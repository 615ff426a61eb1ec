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
from tests.ops import loops

INPUT_SHAPES = {
    "sequence": (2, 7, 6),
    "image": (2, 5, 3, 6),
    "clip": (2, 3, 5, 2, 6),
}


# Batch normalisation takes away what `out` adds to all positions. The rows of a
# softmax sum to one, so g's bias only adds a constant before it, and phi's adds
# the same to all logits of a row.
WITHOUT_GRADIENT = {
    "gaussian": ("out/bias", "g/bias"),
    "embedded_gaussian": ("out/bias", "g/bias", "phi/bias"),
    "dot_product": ("out/bias",),
    "concatenation": ("out/bias",),
}
# Who looks at whom: options, and for clips of (t, h, w) = (4, 5, 3) the keys
# of a query by hand (`keys_by_hand`).
VARIANTS = {
    "all": {},
    "pooled before": {"subsample": 2},
    "pooled after": {"subsample": 2, "pool_position": "after"},
    "pooled in time": {"subsample": (3, 1, 2)},
    "space": {"axes": "space"},
    "space, pooled": {"axes": "space", "subsample": 2},
    "time": {"axes": "time"},
    "time, pooled": {"axes": "time", "subsample": (3, 1, 1)},
    "groups": {"temporal_group_size": 2},
    "groups, pooled": {"temporal_group_size": 2, "subsample": (2, 2, 1)},
}
CLIPS = (2, 4, 5, 3, 6)
# A layout knows nothing of the function; JAX, which compiles each operation of
# each shape, checks one of them on all layouts.
ON_LAYOUTS = (
    sorted(WITHOUT_GRADIENT)
    if keras.backend.backend() == "tensorflow"
    else ["embedded_gaussian"]
)
on_layouts = pytest.mark.parametrize("pairwise", ON_LAYOUTS, indirect=True)


tensorflow_only = pytest.mark.skipif(
    keras.backend.backend() != "tensorflow", reason="a format of TensorFlow's"
)


@pytest.fixture(params=sorted(WITHOUT_GRADIENT))
def pairwise(request):
    return request.param


@pytest.fixture(params=sorted(INPUT_SHAPES))
def input_shape(request):
    return INPUT_SHAPES[request.param]


def active_block(pairwise, **options):
    """A block without normalisation that acts from the start."""
    return NonLocalBlock(
        pairwise, norm="none", out_initializer="he_normal", **options
    )


def array(weight):
    return keras.ops.convert_to_numpy(weight)


def dense(x, layer):
    kernel, bias = (w.astype("float64") for w in layer.get_weights())
    return x @ kernel + bias


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


def pooled_by_hand(x, pool):
    """{(t, h, w): maxima} of the whole boxes of a clip `(t, h, w, c)`."""
    boxes = [size // by for size, by in zip(x.shape, pool, strict=False)]
    return {
        at: np.max(
            x[
                tuple(
                    slice(i * p, i * p + p)
                    for i, p in zip(at, pool, strict=True)
                )
            ],
            axis=(0, 1, 2),
        )
        for at in np.ndindex(*boxes)
    }


def sees(query, key, options, pool):
    """Whether the query's cell looks at the pooled cell of the key."""
    if options.get("axes") == "space":
        return query[0] == key[0]
    if options.get("axes") == "time":
        return query[1:] == key[1:]
    frames = options.get("temporal_group_size", query[0] + 10**6)
    return query[0] // frames == key[0] * pool[0] // frames


def variant_by_hand(block, x, pairwise, options):
    """The block on one clip `(t, h, w, c)`, query by query, in float64."""
    pool = options.get("subsample", 1)
    pool = (1, pool, pool) if isinstance(pool, int) else pool
    before = options.get("pool_position") != "after"
    embeds = pairwise != "gaussian"
    embedded = {
        "phi": dense(x, block.phi) if embeds else x,
        "g": dense(x, block.g),
    }
    if before:
        pooled = pooled_by_hand(x, pool)
        phi = {
            at: dense(v, block.phi) if embeds else v for at, v in pooled.items()
        }
        g = {at: dense(v, block.g) for at, v in pooled.items()}
    else:
        phi = pooled_by_hand(embedded["phi"], pool)
        g = pooled_by_hand(embedded["g"], pool)
    z = x.copy()
    for query in np.ndindex(*x.shape[:3]):
        keys = [key for key in phi if sees(query, key, options, pool)]
        theta = dense(x[query], block.theta) if embeds else x[query]
        rows = [theta], [phi[key] for key in keys]
        if pairwise == "dot_product":
            f = loops.dot_product_f(*rows)
        elif pairwise == "concatenation":
            w_f = block.pairwise.get_weights()[0][:, 0].astype("float64")
            f = loops.concatenation_f(*rows, w_f)
        else:
            f = loops.gaussian_f(*rows)
        values = np.array([g[key] for key in keys])
        y = loops.nonlocal_loop(f, values, pairwise.endswith("gaussian"))[0]
        z[query] += dense(y, block.out)
    return z


@on_layouts
@pytest.mark.parametrize("variant", sorted(VARIANTS))
def test_who_looks_at_whom(pairwise, variant):
    options = VARIANTS[variant]
    block = active_block(pairwise, **options)
    block.build(CLIPS)
    harness.randomise(block)
    x = normal(CLIPS)
    expected = [
        variant_by_hand(block, clip.astype("float64"), pairwise, options)
        for clip in x
    ]
    # 24 bits, with exponentials of logits up to about 10.
    np.testing.assert_allclose(array(block(x)), expected, rtol=2e-5, atol=2e-5)


@pytest.mark.parametrize("variant", sorted(VARIANTS))
def test_harness_of_variants(variant):
    harness.check_layer(
        lambda **options: NonLocalBlock(**VARIANTS[variant], **options),
        (2, 6, 5, 3, 6),
        other_time=12,
    )


@on_layouts
@pytest.mark.parametrize("variant", sorted(VARIANTS))
def test_affinity_of_variants(pairwise, variant):
    x = normal(CLIPS)
    block = active_block(pairwise, **VARIANTS[variant])
    z, every = block(x, return_affinity=True)
    np.testing.assert_array_equal(array(z), array(block(x)))
    assert tuple(every.shape)[:2] == (2, 60)
    _, some = block(x, return_affinity=True, queries=[59, 4, 31])
    np.testing.assert_allclose(
        array(some), array(every)[:, [59, 4, 31]], rtol=1e-5, atol=1e-7
    )
    if pairwise.endswith("gaussian"):
        np.testing.assert_allclose(array(every).sum(-1), 1.0, rtol=1e-5)


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


def test_affinity_of_chosen_queries_is_those_rows(pairwise):
    x = normal((2, 3, 5, 2, 6))
    block = NonLocalBlock(pairwise)
    block(x)
    every = keras.ops.convert_to_numpy(block.affinity(x))
    assert every.shape == (2, 30, 30)
    some = keras.ops.convert_to_numpy(block.affinity(x, queries=[29, 4]))
    np.testing.assert_allclose(some, every[:, [29, 4]], rtol=1e-5, atol=1e-7)


def test_positions_are_counted_in_the_order_time_height_width():
    x = np.zeros((1, 2, 3, 5, 4), "float32")
    x[0, 1, 2, 3] = 9.0  # flat index 1 * 15 + 2 * 5 + 3 = 28
    block = NonLocalBlock("gaussian")
    block(x)
    weights = keras.ops.convert_to_numpy(block.affinity(x, queries=[28]))
    assert weights[0, 0].argmax() == 28


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


def test_affinity_builds_a_new_block():
    weights = NonLocalBlock().affinity(normal((2, 7, 6)))
    assert tuple(weights.shape) == (2, 7, 7)


@pytest.mark.parametrize("shape", [(2, 6), (2, 1, 2, 3, 4, 6), (2, 7, None)])
def test_other_ranks_and_unknown_channels_are_refused(shape):
    with pytest.raises(ValueError, match="rank 3, 4 or 5"):
        NonLocalBlock().build(shape)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"norm": "bach"}, "Did you mean 'batch'"),
        ({"norm": "none", "gamma_init": 1.0}, "belong to a normalisation"),
        ({"norm": "none", "freeze_norm": True}, "belong to a normalisation"),
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


@pytest.mark.parametrize(
    ("options", "shape", "message"),
    [
        ({"subsample": (2, 2)}, (2, 4, 5, 3, 6), "each of the 3 axes"),
        ({"subsample": 4}, (2, 4, 5, 3, 6), "at least the size"),
        (
            {"subsample": (2, 2, 2), "axes": "space"},
            CLIPS,
            "pool only the axes",
        ),
        ({"subsample": 2, "axes": "time"}, CLIPS, "pool only the axes"),
        ({"axes": "time"}, (2, 5, 3, 6), "are for clips"),
        ({"temporal_group_size": 3}, CLIPS, "divide the frames"),
        (
            {"temporal_group_size": 2, "subsample": (4, 1, 1)},
            CLIPS,
            "divide `temporal_group_size`",
        ),
    ],
)
def test_inputs_that_do_not_fit_are_refused(options, shape, message):
    with pytest.raises(ValueError, match=message):
        NonLocalBlock(**options).build(shape)


@pytest.mark.parametrize(
    ("rank", "pool"), [(3, (3,)), (4, (3, 3)), (5, (1, 3, 3))]
)
def test_an_integer_pools_space_alone(rank, pool):
    x = normal((2, 7, 6, 5, 4)[: rank - 1] + (6,))
    keras.utils.set_random_seed(3)
    by_integer = active_block("dot_product", subsample=3)(x)
    keras.utils.set_random_seed(3)
    by_tuple = active_block("dot_product", subsample=pool)(x)
    np.testing.assert_array_equal(array(by_integer), array(by_tuple))


def test_frames_that_groups_do_not_divide_are_an_error_when_unknown():
    inputs = keras.Input((None, 2, 3, 6))
    model = keras.Model(inputs, NonLocalBlock(temporal_group_size=4)(inputs))
    # Two clips of six frames are twelve frames, three groups of four.
    with pytest.raises(Exception, match="(?i)reshape|divide"):
        model(normal((2, 6, 2, 3, 6)))


@pytest.mark.parametrize("variant", sorted(VARIANTS))
@pytest.mark.parametrize("queries", [None, [3, 7]])
def test_symbolic_affinity_has_the_shape_of_the_weights(variant, queries):
    inputs = keras.Input(CLIPS[1:])
    block = NonLocalBlock(**VARIANTS[variant])
    z, weights = block(inputs, return_affinity=True, queries=queries)
    assert z.shape == inputs.shape
    real = keras.Model(inputs, weights)(normal(CLIPS))
    assert tuple(weights.shape) == (None, *real.shape[1:])
    assert keras.backend.standardize_dtype(real.dtype) == weights.dtype


def test_queries_without_the_affinity_are_refused():
    with pytest.raises(ValueError, match="return_affinity=True"):
        NonLocalBlock()(normal((2, 7, 6)), queries=[3])


@on_layouts
@pytest.mark.parametrize("norm", ["batch", "affine", "none"])
@pytest.mark.parametrize("out_bias", [True, False])
def test_a_folded_block_has_no_norm_and_equal_outputs(pairwise, norm, out_bias):
    x = normal(CLIPS)
    block = NonLocalBlock(
        pairwise, norm=norm, out_bias=out_bias, subsample=2, name="block"
    )
    block.build(x.shape)
    harness.randomise(block)
    folded = block.fold()
    paths = {weight.path for weight in folded.weights}
    kept = {w.path for w in block.weights if "/bn/" not in w.path}
    kept = {path for path in kept if "/affine/" not in path}
    if norm != "none":
        kept.add("block/out/bias")
    assert paths == kept
    expected = array(block(x))
    # The same float32 products, scaled before instead of after.
    np.testing.assert_allclose(array(folded(x)), expected, rtol=1e-5, atol=2e-6)
    assert np.abs(expected - x).max() > 0.1


def test_folding_leaves_the_block_as_it_was():
    x = normal((2, 7, 6))
    block = NonLocalBlock(gamma_init=1.0)
    before = array(block(x))
    block.fold()
    np.testing.assert_array_equal(array(block(x)), before)


def test_a_block_without_weights_cannot_be_folded():
    with pytest.raises(ValueError, match="before `fold`"):
        NonLocalBlock().fold()


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


@pytest.mark.parametrize(
    ("name", "method"),
    [
        (name, method)
        for name, cls in PAIRWISE.items()
        for method in cls.methods
        if method != "flash"
    ],
)
def test_every_method_can_be_asked_for_and_is_saved(name, method, tmp_path):
    inputs = keras.Input((7, 6))
    block = active_block(PAIRWISE[name](method=method))
    model = keras.Model(inputs, block(inputs))
    harness.check_saving(model, normal((2, 7, 6)), tmp_path)
    again = NonLocalBlock.from_config(block.get_config())
    assert again.pairwise.method == method


def test_an_unknown_method_is_refused():
    with pytest.raises(ValueError, match="Did you mean 'sorted'"):
        PAIRWISE["concatenation"](method="sortd")


def exported(pairwise, **options):
    """A model on clips of unknown batch, time and space, random weights."""
    inputs = keras.Input((None, None, None, 6))
    block = active_block(pairwise, subsample=2, **options)
    model = keras.Model(inputs, block(inputs))
    harness.randomise(block)
    return model


def test_a_model_on_unknown_sizes_is_saved(pairwise, tmp_path):
    harness.check_saving(exported(pairwise), normal(CLIPS), tmp_path)


@tensorflow_only
def test_saved_model_takes_unknown_sizes(pairwise, tmp_path, monkeypatch):
    harness.small_chunks(monkeypatch)
    import tensorflow as tf

    model = exported(pairwise)
    model.export(tmp_path / "saved", verbose=False)
    loaded = tf.saved_model.load(tmp_path / "saved")
    for shape in (CLIPS, (1, 2, 9, 7, 6)):
        x = normal(shape)
        np.testing.assert_allclose(
            array(loaded.serve(x)), array(model(x)), rtol=1e-5, atol=1e-5
        )


@tensorflow_only
@pytest.mark.filterwarnings("ignore:.*tf.lite.Interpreter is deprecated")
def test_tflite_takes_unknown_sizes_with_builtin_operators(
    pairwise, tmp_path, monkeypatch
):
    harness.small_chunks(monkeypatch)
    import tensorflow as tf

    model = exported(pairwise)
    model.export(tmp_path / "saved", verbose=False)
    converter = tf.lite.TFLiteConverter.from_saved_model(
        str(tmp_path / "saved")
    )
    assert converter.target_spec.supported_ops == {
        tf.lite.OpsSet.TFLITE_BUILTINS
    }
    lite = tf.lite.Interpreter(model_content=converter.convert())
    (given,), (result,) = lite.get_input_details(), lite.get_output_details()
    for shape in (CLIPS, (1, 2, 9, 7, 6)):
        x = normal(shape)
        lite.resize_tensor_input(given["index"], shape)
        lite.allocate_tensors()
        lite.set_tensor(given["index"], x)
        lite.invoke()
        np.testing.assert_allclose(
            lite.get_tensor(result["index"]),
            array(model(x)),
            rtol=1e-5,
            atol=1e-5,
        )


@tensorflow_only
def test_a_block_trains_under_xla_and_mixed_precision(pairwise):
    inputs = keras.Input((4, 5, 3, 6))
    block = NonLocalBlock(
        pairwise, subsample=2, gamma_init=1.0, dtype="mixed_bfloat16"
    )
    model = keras.Model(inputs, keras.layers.Flatten()(block(inputs)))
    model.compile(keras.optimizers.SGD(0.01), "mse", jit_compile=True)
    x = normal(CLIPS)
    losses = [model.train_on_batch(x, 0.0 * x.reshape(2, -1)) for _ in range(3)]
    assert losses[0] > losses[1] > losses[2]


class Uniform(Pairwise):
    """Looks everywhere alike; not registered for saving."""

    def call(self, theta, phi, g):
        return 0.0 * theta[..., :1] + keras.ops.mean(g, 1, keepdims=True)


def test_a_block_with_a_function_that_is_not_registered_can_be_folded():
    x = normal((2, 7, 6))
    block = NonLocalBlock(Uniform(), gamma_init=1.0)
    expected = array(block(x))
    np.testing.assert_allclose(
        array(block.fold()(x)), expected, rtol=1e-5, atol=1e-6
    )


def test_a_frozen_pairwise_layer_stays_frozen():
    block = NonLocalBlock(PAIRWISE["concatenation"](trainable=False))
    block.build((None, None, 6))
    assert not block.pairwise.trainable_weights
    assert block.theta.trainable_weights


@pytest.mark.parametrize("variant", ["all", "space", "time", "groups"])
def test_negative_queries_count_from_the_end(variant):
    x = normal(CLIPS)
    block = NonLocalBlock(**VARIANTS[variant])
    np.testing.assert_array_equal(
        array(block.affinity(x, [-1, -60])), array(block.affinity(x, [59, 0]))
    )


@pytest.mark.parametrize(
    "queries", [3, [[1, 2]], [2.5], [60], [-61], [True, False]]
)
def test_queries_that_are_no_positions_are_refused(queries):
    for given in (queries, np.asarray(queries)):
        with pytest.raises(ValueError, match="Expected `queries`"):
            NonLocalBlock().affinity(normal(CLIPS), given)


@pytest.mark.parametrize("shape", [(2, 4, 1, 3, 6), (2, 5, 3, 6)])
def test_a_built_block_refuses_other_inputs_too(shape):
    block = NonLocalBlock(subsample=2)
    block.build(CLIPS)
    with pytest.raises(ValueError, match="Expected an input"):
        block(normal(shape))


def test_numpy_numbers_are_numbers():
    block = NonLocalBlock(
        bottleneck=np.int64(4), subsample=np.int32(2), scale=np.float32(0.5)
    )
    config = block.get_config()
    assert (config["bottleneck"], config["subsample"]) == (4, 2)
    assert config["scale"] == 0.5


@pytest.mark.parametrize("pairwise", ["embedded_gaussian", "gaussian"])
def test_a_layer_around_a_block_takes_unknown_sizes(pairwise):
    class Around(keras.layers.Layer):
        def __init__(self):
            super().__init__()
            self.block = NonLocalBlock(pairwise)

        def build(self, shape):
            self.block.build(shape)

        def call(self, x):
            return self.block(x, return_affinity=True, queries=[1])[1]

    inputs = keras.Input((None, None, 8))
    assert Around()(inputs).shape[1] == 1
