import json

import pytest

from training.io.user_error import UserError
from training.loop import distribution

WORKERS = {"worker": ["a:1", "b:1"]}


def cluster(addresses, task):
    return json.dumps({"cluster": addresses, "task": task})


@pytest.mark.parametrize(
    "config",
    [
        "",
        "{",
        "[]",
        cluster(WORKERS, {"type": "worker"}),
        cluster(WORKERS, {"type": "ps", "index": 0}),
        cluster(WORKERS, {"type": "worker", "index": 2}),
    ],
)
def test_a_tf_config_that_cannot_be_is_refused(config, monkeypatch):
    monkeypatch.setenv("TF_CONFIG", config or " ")
    with pytest.raises(UserError, match="Expected TF_CONFIG to be JSON"):
        distribution.choose()


def test_one_machine_alone_is_no_cluster(monkeypatch):
    alone = cluster({"worker": ["a:1"]}, {"type": "worker", "index": 0})
    monkeypatch.setenv("TF_CONFIG", alone)
    assert distribution.choose() == distribution.Devices()


class Three:
    num_replicas_in_sync = 3


def test_a_batch_is_split_evenly_over_devices_and_parts():
    devices = distribution.Devices(Three())
    devices.check(30)
    devices.check(30, micro_batches=5)
    with pytest.raises(UserError, match="multiple of 12.*batch=30"):
        devices.check(30, micro_batches=4)


def test_what_is_wrong_on_several_devices_is_refused_with_a_reason():
    distribution.Devices().check(30, jit_compile=True)
    with pytest.raises(UserError, match="variables are on several"):
        distribution.Devices(Three()).check(30, jit_compile=True)
