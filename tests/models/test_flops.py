"""Counts compared with the paper's and with layers counted by hand."""

import math

import keras
import pytest

import nonlocal_tf as nl
from nonlocal_tf.layers import Conv2D, NonLocalBlock
from nonlocal_tf.models.flops import Cost, layer_cost, layer_costs
from tests.layers.blocks import tensorflow_only
from tests.models import nested_models
from tests.models.tiny import shallow_outline, without_weights

pytestmark = tensorflow_only
# Model, inflation; weights, parameters; billions of multiply-adds of 8x8, 32x2,
# 32x4 and 128x1 at 224 x 224. Long clips have groups of 4 frames at res3.
COUNTS = [
    ("c2d_r50", None, 24_274_112, 24_327_632, 19.29, 20.23, 77.16, 80.93),
    ("i3d_r50", None, 27_989_952, 28_043_472, 28.11, 32.83, 112.44, 131.32),
    ("i3d_r50", "3x3x3", 33_380_288, 33_433_808, 33.97, 38.69, 135.87, 154.75),
    ("c2d_nl1_r50", None, 26_371_264, 26_429_392, 20.47, 21.42),
    ("c2d_nl5_r50", None, 31_614_144, 31_686_096, 27.42, 28.36, 115.33, 119.11),
    ("c2d_nl10_r50", None, 38_954_176, 39_044_560, 35.54, 36.49),
    ("i3d_nl5_r50", None, 35_329_984, 35_401_936, 36.24, 40.96, 150.61, 169.49),
    ("c2d_r101", None, 43_214_016, 43_319_760, 34.14, 35.08, 136.55, 140.33),
    ("i3d_r101", None, 51_648_448, 51_754_192, 46.66, 51.38, 186.63, 205.51),
    (
        "i3d_r101",
        "3x3x3",
        62_937_024,
        63_042_768,
        57.14,
        61.86,
        228.56,
        247.44,
    ),
    (
        "c2d_nl5_r101",
        None,
        50_554_048,
        50_678_224,
        42.27,
        43.21,
        174.73,
        178.50,
    ),
    (
        "i3d_nl5_r101",
        None,
        58_988_480,
        59_112_656,
        54.79,
        59.51,
        224.80,
        243.69,
    ),
]
SAMPLINGS = ("8x8", "32x2", "32x4", "128x1")
IN_DEFAULT_RUN = [("i3d_nl5_r50", None, "8x8"), ("i3d_nl5_r50", None, "128x1")]
# The others have more or fewer of the same blocks.
IN_CI = [("c2d_r50", None, "32x2"), ("i3d_r101", "3x3x3", "32x4")]


CASES = []
for _name, _inflation, _weights, _parameters, *_billions in COUNTS:
    for _sampling, _adds in zip(SAMPLINGS, _billions, strict=False):
        _case = _name, _inflation, _sampling
        _marks = [pytest.mark.slow if _case in IN_CI else pytest.mark.full]
        CASES.append(
            pytest.param(
                _name,
                {"sampling": _sampling, "inflation": _inflation},
                (_weights, _parameters, _adds),
                marks=[] if _case in IN_DEFAULT_RUN else _marks,
                id=" ".join(map(str, _case)),
            )
        )


@pytest.mark.parametrize(("name", "options", "expected"), CASES)
def test_counts_equal_the_table(name, options, expected):
    with without_weights():
        cost = nl.cost(nl.create_model(name, **options))
    billions = round(cost.multiply_adds / 1e9, 2)
    assert (cost.weights, cost.parameters, billions) == expected


def test_cost_of_a_larger_crop():
    with without_weights():
        model = nl.create_model("c2d_small")
    small, large = nl.cost(model), nl.cost(model, (8, 64, 64, 3))
    assert large.parameters == small.parameters
    # All layers but the last have four times the positions.
    logits = 64 * 10
    assert large.multiply_adds - logits == 4 * (small.multiply_adds - logits)


@pytest.mark.slow
def test_relative_costs_are_those_of_the_paper():
    # Table 2e, ResNet-101 at 32 frames: I3D 3x3x3 1.5x and 1.8x, I3D 3x1x1
    # 1.2x and 1.5x, five non-local blocks 1.2x and 1.2x.
    def cost_of(name, **options):
        with without_weights():
            return nl.cost(nl.create_model(name, **options))

    base = cost_of("c2d_r101")
    for name, options, weights, adds in (
        ("i3d_r101", {"inflation": "3x3x3"}, 1.5, 1.8),
        ("i3d_r101", {}, 1.2, 1.5),
        ("c2d_nl5_r101", {}, 1.2, 1.2),
    ):
        cost = cost_of(name, **options)
        assert round(cost.weights / base.weights, 1) == weights
        assert round(cost.multiply_adds / base.multiply_adds, 1) == adds


def test_cost_of_a_convolution():
    model = shallow_outline("i3d")
    cost = layer_costs(model)["res3_block0_conv2"]
    # 1 x 3 x 3 kernels of 8 channels at 2 x 4 x 4 positions.
    assert cost.weights == 9 * 8 * 8
    assert cost.multiply_adds == cost.weights * 2 * 4 * 4


def test_cost_of_a_grouped_convolution():
    layer = Conv2D(15, 3, groups=3, use_bias=False)
    layer.build((None, 7, 5, 6))
    cost = layer_cost(layer, (7, 5, 6))
    assert cost.weights == 9 * 2 * 15
    assert cost.multiply_adds == cost.weights * 7 * 5


L = keras.layers
KINDS = [  # input, layer, weights, positions of the kernels
    ((9, 6), L.Conv1D(5, 3), 3 * 6 * 5, 7),
    ((7, 5, 6), L.DepthwiseConv2D(3), 9 * 6, 5 * 3),
    ((7, 5, 6), L.SeparableConv2D(4, 3), 9 * 6 + 6 * 4, 5 * 3),
    ((7, 5, 6), L.Conv2DTranspose(4, 3, 2), 9 * 6 * 4, 7 * 5),
    ((6, 7, 5), L.Conv2D(4, 3, data_format="channels_first"), 216, 5 * 3),
]


@pytest.mark.parametrize(
    "case", KINDS, ids=[type(case[1]).__name__ for case in KINDS]
)
def test_cost_of_each_kind_of_convolution(case):
    shape, layer, weights, positions = case
    layer.build((None, *shape))
    cost = layer_cost(layer, shape)
    assert (cost.weights, cost.multiply_adds) == (weights, weights * positions)


@pytest.mark.parametrize(
    ("pairwise", "pool_position", "weights", "adds"),
    [
        # n = 48, m = 12, c = 6, d = 3: projections, then products.
        ("embedded_gaussian", "before", 72, 18 * 120 + 48 * 12 * 6),
        ("embedded_gaussian", "after", 72, 18 * 192 + 48 * 12 * 6),
        ("dot_product", "before", 72, 18 * 120 + 48 * 12 * 6),
        ("gaussian", "before", 36, 18 * 60 + 48 * 12 * (6 + 3)),
        ("concatenation", "before", 78, 18 * 120 + 60 * 3 + 48 * 12 * 3),
        ("efficient", "before", 72, 18 * 120 + (48 + 12) * 3 * 3),
        ("global_context", "before", 42, 18 * 60 + 12 * (6 + 3)),
    ],
)
def test_cost_of_a_block(pairwise, pool_position, weights, adds):
    block = NonLocalBlock(
        pairwise, subsample=2, pool_position=pool_position, norm="none"
    )
    block.build((None, 3, 4, 4, 6))
    cost = layer_cost(block, (3, 4, 4, 6))
    assert (cost.weights, cost.multiply_adds) == (weights, adds)
    assert cost.parameters == sum(math.prod(w.shape) for w in block.weights)


@pytest.mark.parametrize(
    ("options", "keys"),
    [
        ({"axes": "space"}, 16),
        ({"axes": "time"}, 4),
        ({"temporal_group_size": 2}, 32),
    ],
)
def test_cost_of_a_block_counts_the_keys_of_a_query(options, keys):
    block = NonLocalBlock(norm="none", **options)
    block.build((None, 4, 4, 4, 6))
    cost = layer_cost(block, (4, 4, 4, 6))
    assert cost.multiply_adds == 64 * 72 + 64 * keys * 6


@pytest.mark.parametrize(
    ("pairwise", "weights", "products"),
    [
        ("dot_product", 6 * 2 * (2 + 4), 48 * 48 * (2 + 4)),
        ("concatenation", 6 * 2 * (2 + 4) + 4, 2 * 48 * 2 + 48 * 48 * 4),
    ],
)
def test_cost_of_a_block_with_heads_is_that_of_all_heads(
    pairwise, weights, products
):
    # n = m = 48; 6 channels to 2 of theta and phi and 4 of g, in two heads.
    block = NonLocalBlock(
        pairwise, bottleneck=2, value_channels=4, heads=2, norm="none"
    )
    block.build((None, 3, 4, 4, 6))
    cost = layer_cost(block, (3, 4, 4, 6))
    assert cost.weights == weights
    assert cost.multiply_adds == 48 * 72 + products


@pytest.mark.parametrize("position", ["before", "after"])
def test_cost_of_a_block_with_a_context(position):
    # n = 24 positions of 6 channels; 4 keys of 10 channels, pooled from 8.
    inputs = keras.Input((2, 3, 4, 6))
    context = keras.layers.Dense(10, use_bias=False)(inputs[:, :, 0])
    block = NonLocalBlock(
        "dot_product", subsample=(1, 2), pool_position=position, norm="none"
    )
    model = keras.Model(inputs, block(inputs, context=context))
    cost = layer_costs(model)[block.name]
    assert cost.weights == 2 * (6 + 10) * 3
    projected = 4 if position == "before" else 8
    projections = 2 * (projected * 10 + 24 * 6) * 3
    assert cost.multiply_adds == projections + 24 * 4 * (3 + 3)


def test_cost_does_not_change_the_model():
    model = shallow_outline("c2d")
    before = model.get_layer("pool1").output.shape
    layer_costs(model, (16, 96, 96, 3))
    assert model.get_layer("pool1").output.shape == before


def test_cost_of_a_layer_called_twice():
    inputs = keras.Input((5,))
    dense = keras.layers.Dense(5)
    model = keras.Model(inputs, dense(dense(inputs)))
    assert nl.cost(model).multiply_adds == 50


def test_unknown_sizes_need_a_shape():
    model = shallow_outline("c2d", clip_shape=(None, None, None, 3))
    with pytest.raises(ValueError, match="without unknown sizes"):
        nl.cost(model)
    assert nl.cost(model, (4, 32, 32, 3)) == nl.cost(shallow_outline("c2d"))


def test_shape_of_another_rank_is_an_error():
    with pytest.raises(ValueError, match="as many sizes"):
        nl.cost(shallow_outline("c2d"), (64, 64, 3))


def test_cost_goes_into_nested_models():
    def part(name):
        dense = keras.layers.Dense(2, name="dense")
        return keras.Sequential([keras.Input((2,)), dense], name=name)

    model = keras.Sequential([keras.Input((2,)), part("a"), part("b")])
    costs = layer_costs(model)
    assert costs == {name: Cost(4, 6, 4) for name in ("a/dense", "b/dense")}
    assert nl.cost(model) == Cost(8, 12, 8)


@pytest.mark.parametrize("form", nested_models.FORMS, ids=lambda f: f.__name__)
def test_cost_of_a_network_inside_a_model_is_that_of_its_calls(form):
    nested = form()
    inner, scores = nl.cost(nested.network), Cost(6 * 5, 6 * 5 + 5, 6 * 5)
    assert nl.cost(nested.model) == Cost(
        inner.weights + scores.weights,
        inner.parameters + scores.parameters,
        nested.calls * inner.multiply_adds + scores.multiply_adds,
    )


def test_weights_outside_of_layers_are_parameters():
    class Scaled(nested_models.Branch):
        def build(self, shape):
            self.factor = self.add_weight(shape=(6,), name="factor")

        def call(self, x):
            return self.network(x) * self.factor

    inputs, inner = keras.Input(nested_models.IMAGE), nested_models.network()
    model = keras.Model(inputs, Scaled(inner)(inputs))
    expected = nl.cost(inner)
    assert nl.cost(model) == Cost(
        expected.weights, expected.parameters + 6, expected.multiply_adds
    )


def test_layer_that_cannot_be_counted_is_an_error():
    inputs, inner = keras.Input(nested_models.IMAGE), nested_models.network()
    layer = nested_models.Untraceable(inner, name="branch")
    model = keras.Model(inputs, layer(inputs))
    with pytest.raises(ValueError, match="'branch' .*Count the models"):
        nl.cost(model)


def test_cost_of_several_inputs():
    first, second = keras.Input((5,)), keras.Input((3,))
    dense = [keras.layers.Dense(2)(x) for x in (first, second)]
    model = keras.Model([first, second], keras.layers.add(dense))
    assert nl.cost(model).multiply_adds == 5 * 2 + 3 * 2
    with pytest.raises(ValueError, match="one input.*2 inputs"):
        nl.cost(model, (5,))


def test_subclassed_model_that_was_not_called_is_an_error():
    class Own(keras.Model):
        pass

    with pytest.raises(ValueError, match="has been called on a batch.*Own"):
        nl.cost(Own())


def test_sum_of_costs():
    assert Cost(1, 2, 3) + Cost(10, 20, 30) == Cost(11, 22, 33)
