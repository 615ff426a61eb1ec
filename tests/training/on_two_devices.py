"""Checks on two devices, all in one process; run by test_devices.py.

Logical devices must be configured before TensorFlow runs anything.
"""

import json
import pathlib
import sys
import traceback

import tensorflow as tf

from tests.training import (
    fit_on_two_devices,
    trainer_on_two_devices,
    views_on_two_devices,
)

CHECKS = {
    "unequal data": trainer_on_two_devices.check,
    "fit": fit_on_two_devices.check,
    "augmented": fit_on_two_devices.check_augmented,
    "views": views_on_two_devices.check,
}


def main(folder):
    """Write {check: traceback, empty if it holds} to outcomes.json."""
    cpus = tf.config.list_physical_devices("CPU")
    tf.config.set_logical_device_configuration(
        cpus[0], [tf.config.LogicalDeviceConfiguration() for _ in range(2)]
    )
    strategy = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
    assert strategy.num_replicas_in_sync == 2
    outcomes = {}
    for name, check in CHECKS.items():
        outcomes[name] = ""
        try:
            check(strategy, folder)
        except Exception:
            outcomes[name] = traceback.format_exc()
    (folder / "outcomes.json").write_text(json.dumps(outcomes), "utf-8")
    print("as expected")


if __name__ == "__main__":
    main(pathlib.Path(sys.argv[1]))
