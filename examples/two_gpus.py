"""Train a Keras network of one's own on all GPUs, resuming after a kill.

    python two_gpus.py videos --folder runs/own

Run the same command again after an interruption: training goes on with the
epoch after the last checkpoint. Without GPUs, `--cpus 2` tries it out on parts
of the CPU.
"""

import argparse

import keras
import tensorflow as tf
from keras import layers

import nonlocal_tf as nl
from nonlocal_tf.training import data, evaluation
from nonlocal_tf.training.loop import callbacks

parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
parser.add_argument("videos")
parser.add_argument("--folder", default="runs/own", help="for checkpoints")
parser.add_argument("--cpus", type=int, default=0, metavar="N")
parser.add_argument("--size", type=int, default=64)
parser.add_argument("--batch", type=int, default=8, help="of all GPUs together")
parser.add_argument("--epochs", type=int, default=10)
options = parser.parse_args()

devices = None  # all GPUs
if options.cpus:
    (cpu,) = tf.config.list_physical_devices("CPU")
    part = tf.config.LogicalDeviceConfiguration()
    tf.config.set_logical_device_configuration(cpu, [part] * options.cpus)
    devices = [f"CPU:{number}" for number in range(options.cpus)]
strategy = tf.distribute.MirroredStrategy(devices)

keras.utils.set_random_seed(0)
videos = data.load(options.videos, frames=8, stride=4, size=options.size)
with strategy.scope():
    clips = keras.Input((8, options.size, options.size, 3))
    x = layers.Conv3D(16, (1, 5, 5), strides=(1, 4, 4))(clips)
    x = layers.BatchNormalization(synchronized=True)(x)
    x = layers.Activation("relu")(x)
    x = layers.Conv3D(32, 3, strides=2, activation="relu")(x)
    x = nl.NonLocalBlock(pairwise="dot_product")(x)
    x = layers.GlobalAveragePooling3D()(x)
    x = layers.Dense(len(videos.classes), activation="softmax")(x)
    model = keras.Model(clips, x)
    model.compile(
        "adam", "sparse_categorical_crossentropy", metrics=["accuracy"]
    )

model.fit(
    videos.batches("train", options.batch, seed=0),
    validation_data=videos.batches("validation", options.batch),
    epochs=options.epochs,
    shuffle=False,  # the batches are shuffled
    callbacks=[
        callbacks.MovingAverage(0.99),
        callbacks.ExactResume(options.folder, videos),
        callbacks.ListBadVideos(videos, "bad_videos.csv"),
    ],
)
print(evaluation.evaluate(model, videos, "test"))
