import keras
import numpy as np
import pytest

from nonlocal_tf.layers import pairwise
from tests.harness import normal

SHAPES = ((2, 7, 3), (2, 5, 3), (2, 5, 11))


@pytest.fixture(params=sorted(pairwise.PAIRWISE))
def name(request):
    return request.param


def arrays():
    return [normal(shape, seed) for seed, shape in enumerate(SHAPES)]


def test_the_four_functions_of_the_paper_are_registered():
    assert set(pairwise.PAIRWISE) >= {
        "concatenation",
        "dot_product",
        "embedded_gaussian",
        "gaussian",
    }


def test_output_shape(name):
    layer = pairwise.get(name)
    assert tuple(layer(*arrays()).shape) == (2, 7, 11)
    assert layer.compute_output_shape(*SHAPES) == (2, 7, 11)


def test_output_is_affinity_times_g(name):
    theta, phi, g = arrays()
    layer = pairwise.get(name)
    y = keras.ops.convert_to_numpy(layer(theta, phi, g))
    weights = keras.ops.convert_to_numpy(layer.affinity(theta, phi))
    # Two orders of the same float32 sum.
    np.testing.assert_allclose(y, weights @ g, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    "name", ["concatenation", "dot_product", "efficient", "global_context"]
)
def test_mask_holds_for_output_and_affinity(name):
    theta, phi, g = (
        normal((2, 8, 3), 1),
        normal((2, 6, 3), 2),
        normal((2, 6, 4)),
    )
    mask = np.array([[1, 0, 0, 1, 1, 1], [0, 0, 0, 0, 0, 0]], bool)
    layer = pairwise.get(name)
    y = keras.ops.convert_to_numpy(layer(theta, phi, g, mask=mask))
    weights = keras.ops.convert_to_numpy(layer.affinity(theta, phi, mask=mask))
    np.testing.assert_allclose(y, weights @ g, rtol=1e-5, atol=1e-6)
    assert (weights * ~mask[:, None] == 0).all()
    assert (y[1] == 0).all()
    phi[~mask], g[~mask] = np.nan, np.inf
    np.testing.assert_array_equal(
        keras.ops.convert_to_numpy(layer(theta, phi, g, mask=mask)), y
    )


@pytest.mark.parametrize("name", ["concatenation", "dot_product"])
def test_mask_and_steps_hold_for_output_and_affinity(name):
    theta, phi, g = (
        normal((2, 8, 3), 1),
        normal((2, 6, 3), 2),
        normal((2, 6, 4)),
    )
    mask = np.array([[1, 0, 0, 1, 1, 1], [0, 0, 0, 1, 1, 1]], bool)
    layer = pairwise.get(name)
    y = keras.ops.convert_to_numpy(layer(theta, phi, g, mask=mask, steps=2))
    weights = keras.ops.convert_to_numpy(
        layer.affinity(theta, phi, mask=mask, steps=2)
    )
    np.testing.assert_allclose(y, weights @ g, rtol=1e-5, atol=1e-6)
    assert (weights * ~mask[:, None] == 0).all()
    assert (weights[:, :4, 3:] == 0).all()
    assert (weights[:, 4:, 3:] != 0).any()


def test_config_round_trip(name):
    config = keras.saving.serialize_keras_object(pairwise.get(name))
    assert keras.saving.serialize_keras_object(pairwise.get(config)) == config


def test_softmax_layers_pass_budget_and_training(monkeypatch):
    calls = []

    def softmax(theta, phi, g, *args, **options):
        calls.append((options["budget_mb"], options["training"]))
        return theta

    monkeypatch.setattr(pairwise.nonlocal_ops, "softmax", softmax)
    layer = pairwise.EmbeddedGaussian(budget_mb=7)
    assert layer.get_config()["budget_mb"] == 7
    theta, phi, g = arrays()
    for training in (None, False, True):
        layer(theta, phi, g, training=training)
    assert calls == [(7, None), (7, False), (7, True)]


def test_a_negative_budget_is_an_error():
    with pytest.raises(ValueError, match="`budget_mb`"):
        pairwise.Gaussian(budget_mb=-1)


def test_get_returns_an_instance_itself():
    layer = pairwise.DotProduct()
    assert pairwise.get(layer) is layer


def test_unknown_name_suggests_a_similar_one():
    with pytest.raises(ValueError, match="Did you mean 'gaussian'"):
        pairwise.get("gausian")


def test_other_types_of_identifier_are_errors():
    with pytest.raises(TypeError, match="Expected `pairwise`"):
        pairwise.get(3)


@pytest.mark.parametrize("scale", [0, -1.0, "sqrt"])
def test_invalid_scale_is_an_error(scale):
    with pytest.raises(ValueError, match="Expected `scale`"):
        pairwise.EmbeddedGaussian(scale=scale)


def test_rsqrt_scale_is_d_to_the_minus_half():
    theta, phi, g = arrays()
    scaled = pairwise.EmbeddedGaussian(scale="rsqrt")(theta, phi, g)
    number = pairwise.EmbeddedGaussian(scale=3**-0.5)(theta, phi, g)
    np.testing.assert_allclose(scaled, number, rtol=1e-5, atol=1e-6)


def test_affinity_has_the_scale():
    theta, phi, _ = arrays()
    layer = pairwise.EmbeddedGaussian(scale=1e-6)
    weights = keras.ops.convert_to_numpy(layer.affinity(theta, phi))
    np.testing.assert_allclose(weights, 1 / 5, rtol=1e-4)


def test_concatenation_splits_w_f_into_theta_then_phi():
    theta, phi, g = arrays()
    layer = pairwise.Concatenation()
    layer.build(*SHAPES)
    w_f = np.zeros((6, 1), "float32")
    w_f[0] = 1.0  # the first channel of theta, nothing of phi
    layer.set_weights([w_f])
    weights = keras.ops.convert_to_numpy(layer.affinity(theta, phi))
    expected = np.maximum(theta[:, :, :1], 0.0) / 5 * np.ones((1, 1, 5))
    np.testing.assert_allclose(weights, expected, rtol=1e-6)


def test_registered_name_is_an_error():
    with pytest.raises(ValueError, match="exists already"):
        pairwise.register_pairwise("gaussian")(pairwise.Gaussian)
