"""Devices of a run: one, all of a machine, or those of several machines.

One GPU or none: nothing is distributed. Several GPUs: all of them, by
`tf.distribute.MirroredStrategy`. Several machines: one process on each, told
of the others by the environment variable TF_CONFIG, by
`MultiWorkerMirroredStrategy`. Each step's batch is split evenly; what is
trained is the same but for rounding, with `training.synchronized_bn` and
without dropout, of which each device drops the same units for its examples.
"""

import contextlib
import dataclasses
import functools
import hashlib
import os
import signal
from typing import Any

import tensorflow as tf

from ..io import json_text
from ..io.user_error import UserError


@dataclasses.dataclass(frozen=True)
class Devices:
    """The devices of a run, and which part of them is this process's.

    Attributes:
        strategy: of TensorFlow; its default one for one device.
        worker: number of this process; 0 is the chief, which alone writes.
        workers: how many processes train together.
    """

    strategy: tf.distribute.Strategy = dataclasses.field(
        default_factory=tf.distribute.get_strategy
    )
    worker: int = 0
    workers: int = 1

    @property
    def replicas(self) -> int:
        """Devices that each compute a part of a batch."""
        return self.strategy.num_replicas_in_sync

    @property
    def is_chief(self) -> bool:
        return self.worker == 0

    def distribute(self, batches: tf.data.Dataset) -> Any:
        """Split a worker's batches over its devices, if `fit` would not.

        Args:
            batches: this worker's share of each batch.
        """
        if self.workers == 1:
            return batches
        own = self.replicas // self.workers
        parts = in_parts(batches, own)
        return self.strategy.distribute_datasets_from_function(
            lambda context: parts
        )

    def barrier(self) -> None:
        """Waits until all workers are here."""
        self.any_of(False)

    def any_of(self, value: bool) -> bool:
        """Return whether a condition holds on any worker; a barrier for all."""
        if self.workers == 1:
            return value
        total = _sums(self.strategy)(tf.constant([int(value)] * 3, tf.int64))
        return bool(total[0] > 0)

    def expect_same(self, what: str, value: str) -> None:
        """Raises a UserError unless all workers have the same value."""
        if self.workers == 1:
            return
        digest = hashlib.sha256(value.encode()).digest()
        own = int.from_bytes(digest[:3], "big")
        # All come to the same conclusion: equal if and only if the variance
        # is zero.
        total = _sums(self.strategy)(tf.constant([1, own, own**2], tf.int64))
        count, first, second = (int(number) for number in total)
        if count * second != first**2:
            raise UserError(
                f"The {self.workers} workers differ in {what}. Here: {value}. "
                "Start all with the same command, and give them a --workdir "
                "that all can read."
            )

    def check(
        self, batch: int, micro_batches: int = 1, jit_compile: bool = False
    ) -> None:
        """Raise a UserError unless steps can be computed on the devices.

        Args:
            batch: examples per step.
            micro_batches: of each device's share of a batch.
            jit_compile: whether XLA compiles the step.
        """
        divisor = self.replicas * micro_batches
        if batch % divisor:
            raise UserError(
                f"Expected batch to be a multiple of {divisor}: it is split "
                f"evenly over {self.replicas} devices and "
                f"training.micro_batches={micro_batches}. "
                f"Received: batch={batch}"
            )
        if self.replicas > 1 and jit_compile:
            raise UserError(
                "training.jit_compile goes with one device: TensorFlow "
                "cannot compile a step whose variables are on several. "
                f"Received: {self.replicas} devices."
            )


def in_parts(batches: tf.data.Dataset, parts: int) -> tf.data.Dataset:
    """Split each batch into `parts` batches, one after the other."""
    if parts == 1:
        return batches
    count = batches.cardinality() * parts

    def split(*arrays):
        stacked = tf.nest.map_structure(
            lambda array: tf.stack(tf.split(array, parts)), arrays
        )
        if len(stacked) == 1:  # a dictionary
            stacked = stacked[0]
        return tf.data.Dataset.from_tensor_slices(stacked)

    return batches.flat_map(split).apply(
        tf.data.experimental.assert_cardinality(count)
    )


@functools.cache
def _sums(strategy):
    """A function of an array on each worker to the sum over all devices."""

    def over_all(array):
        everyone = strategy.run(tf.identity, (array,))
        return strategy.reduce("SUM", everyone, axis=None)

    return tf.function(over_all)


def choose(count: int | None = None) -> Devices:
    """The devices of this process; call it before anything is computed.

    Args:
        count: how many of this machine; all GPUs, or one CPU, if None.
            Without a GPU the CPU is divided into as many devices, which is
            no faster, but computes what GPUs would.

    Raises:
        UserError: there are not as many, or TF_CONFIG cannot be read.
    """
    if count is not None:
        _limit(count)
    if os.environ.get("TF_CONFIG"):
        return _several_machines()
    names = [device.name for device in tf.config.list_logical_devices("GPU")]
    if not names and count is not None:
        names = [d.name for d in tf.config.list_logical_devices("CPU")]
    if count is not None and count > len(names):
        raise UserError(
            f"Expected --devices from 1 to {len(names)}. Received: {count}"
        )
    names = names[: count or len(names)]
    if len(names) < 2:
        return Devices()
    return Devices(tf.distribute.MirroredStrategy(names))


def _limit(count: int) -> None:
    """Lets TensorFlow see so many GPUs, or parts of the CPU."""
    gpus = tf.config.list_physical_devices("GPU")
    if gpus:
        # The others' memory stays free for other processes.
        tf.config.set_visible_devices(gpus[:count], "GPU")
        return
    (cpu,) = tf.config.list_physical_devices("CPU")
    devices = [tf.config.LogicalDeviceConfiguration() for _ in range(count)]
    tf.config.set_logical_device_configuration(cpu, devices)


def _several_machines() -> Devices:
    text = os.environ["TF_CONFIG"]
    try:
        config = json_text.parse(text)
        cluster = config.get("cluster", {})
        chiefs = list(cluster.get("chief", []))
        everyone = [*chiefs, *cluster.get("worker", [])]
        task = config.get("task", {"type": "worker", "index": 0})
        number = int(task["index"])
        if task["type"] == "worker":
            number += len(chiefs)
        elif task["type"] != "chief":
            raise ValueError(f"a task of type {task['type']!r}")
        if everyone and not 0 <= number < len(everyone):
            raise ValueError(f"no {task['type']} {task['index']} in cluster")
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise UserError(
            "Expected TF_CONFIG to be JSON with the addresses of all workers "
            "and the number of this one, such as "
            '{"cluster": {"worker": ["a:2222", "b:2222"]}, "task": {"type": '
            f'"worker", "index": 0}}}}. Received: {text!r} ({error})'
        ) from error
    if len(everyone) < 2:
        return Devices()
    print(
        f"Worker {number} of {len(everyone)}, {everyone[number]}, waits for "
        f"the others: {', '.join(everyone)}",
        flush=True,
    )
    with _killable():
        strategy = tf.distribute.MultiWorkerMirroredStrategy()
        devices = Devices(strategy, number, len(everyone))
        devices.barrier()
    return devices


@contextlib.contextmanager
def _killable():
    """Lets signals end the process, which may wait where Python sees none."""
    signals = (signal.SIGINT, signal.SIGTERM)
    before = [signal.signal(number, signal.SIG_DFL) for number in signals]
    try:
        yield
    finally:
        for number, handler in zip(signals, before, strict=True):
            signal.signal(number, handler)
