"""The public names: removing one is a line in CHANGELOG.md."""

import nonlocal_tf

PUBLIC = [
    "CheckpointError",
    "Concatenation",
    "DotProduct",
    "EmbeddedGaussian",
    "Gaussian",
    "NonLocalBlock",
    "Pairwise",
    "__version__",
    "attention_map",
    "cost",
    "create_model",
    "fold",
    "from_checkpoint",
    "inflate",
    "insert_blocks",
    "list_models",
    "load_weights",
    "preprocess",
    "register_model",
    "register_pairwise",
    "save_weights",
    "summary",
]


def test_public_names_are_these():
    assert sorted(nonlocal_tf.__all__) == PUBLIC


def test_every_public_name_exists():
    for name in PUBLIC:
        assert getattr(nonlocal_tf, name) is not None
