"""The client's modules, and a server that has the made model."""

import pathlib
import sys

import pytest

from tests.savedmodels import made_model
from tests.savedmodels.contract_server import ContractServer

CLIENTS = pathlib.Path(__file__).parents[2] / "savedmodels" / "clients"
CONFIG = """model_config_list { config {
  name: "shares" base_path: "/models/shares" model_platform: "tensorflow"
} }"""


@pytest.fixture(scope="session", autouse=True)
def clients():
    """The folder of the client, from where its modules are imported."""
    sys.path.insert(0, str(CLIENTS))
    yield CLIENTS
    sys.path.remove(str(CLIENTS))


@pytest.fixture(scope="session")
def served(tmp_path_factory):
    """A models.config and the folder of its models: versions 2 and 10."""
    root = tmp_path_factory.mktemp("served")
    made_model.write(root / "shares" / "10")
    (root / "shares" / "2").mkdir()  # would not load
    config = root / "models.config"
    config.write_text(CONFIG)
    return config, root


@pytest.fixture(scope="session")
def server(served):
    """A contract server of the made model."""
    with ContractServer(*served) as server:
        yield server
