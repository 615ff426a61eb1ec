"""The public names: removing one is a line in CHANGELOG.md."""

import keras
import pytest

import nonlocal_tf

PUBLIC = [
    "CheckpointError",
    "Concatenation",
    "DotProduct",
    "EfficientAttention",
    "EmbeddedGaussian",
    "Gaussian",
    "GlobalContext",
    "NonLocalBlock",
    "Pairwise",
    "__version__",
    "attention_map",
    "cost",
    "create_model",
    "fold",
    "freeze",
    "from_checkpoint",
    "from_pretrained",
    "inflate",
    "insert_blocks",
    "list_models",
    "list_weights",
    "load_weights",
    "preprocess",
    "register_model",
    "register_pairwise",
    "save_pretrained",
    "save_weights",
    "summary",
]


def test_public_names_are_these():
    assert sorted(nonlocal_tf.__all__) == PUBLIC


def test_every_public_name_exists():
    for name in PUBLIC:
        assert getattr(nonlocal_tf, name) is not None


@pytest.mark.skipif(
    keras.backend.backend() != "tensorflow", reason="predict needs TensorFlow"
)
def test_predict_is_that_of_the_training_program():
    from training import predict

    assert nonlocal_tf.predict is predict.predict
    assert "predict" not in nonlocal_tf.__all__  # `import *` imports it


def test_unknown_names_are_attribute_errors():
    with pytest.raises(AttributeError, match="no attribute 'predictions'"):
        nonlocal_tf.predictions  # noqa: B018
