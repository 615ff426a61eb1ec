"""The clients' modules, and a contract server of a small model."""

import pathlib
import sys

import numpy as np
import pytest

from tests.savedmodels import colour_model
from tests.savedmodels.contract_server import ContractServer
from tests.training.data import films

CLIENTS = pathlib.Path(__file__).parents[2] / "savedmodels" / "clients"
CONFIG = """model_config_list { config {
  name: "shares" base_path: "/models/shares" model_platform: "tensorflow"
} }"""


@pytest.fixture(scope="session", autouse=True)
def clients():
    """Folder of the clients, on the import path."""
    sys.path.insert(0, str(CLIENTS))
    yield CLIENTS
    sys.path.remove(str(CLIENTS))


@pytest.fixture(scope="session")
def served(tmp_path_factory):
    """models.config and folder of a model with versions 2 and 10."""
    root = tmp_path_factory.mktemp("served")
    colour_model.write(root / "shares" / "10")
    (root / "shares" / "2").mkdir()  # would not load
    config = root / "models.config"
    config.write_text(CONFIG)
    return config, root


@pytest.fixture(scope="session")
def server(served):
    """Contract server of the small model."""
    with ContractServer(*served) as server:
        yield server


@pytest.fixture
def serving_client(clients):
    import serving_client

    return serving_client


@pytest.fixture
def video_client(clients):
    import video_client

    return video_client


@pytest.fixture(scope="module")
def film(tmp_path_factory):
    return films.write_film(tmp_path_factory.mktemp("film") / "a.mp4", 3)


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
    path = tmp_path_factory.mktemp("clip") / "a.npy"
    np.save(path, np.zeros((2, 5, 7, 3), np.uint8))
    return path
