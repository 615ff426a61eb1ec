"""Train a network on a folder of videos with `model.fit`; test and export it.

The folder has one folder of videos per class:

    python finetune_with_fit.py videos --epochs 10 --export savedmodels/mine

With `--weights`, the network starts from a published file (any that
`nonlocal_tf.load_weights` reads); its classifier is new.
"""

import argparse

import keras

import nonlocal_tf as nl
from nonlocal_tf.training import data, evaluation, export

parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
parser.add_argument("videos")
parser.add_argument("--network", default="i3d_nl1_small")
parser.add_argument("--weights")
parser.add_argument("--frames", type=int, default=8)
parser.add_argument("--stride", type=int, default=4)
parser.add_argument("--size", type=int, default=64)
parser.add_argument("--batch", type=int, default=8)
parser.add_argument("--epochs", type=int, default=10)
parser.add_argument("--views", default="2x1", help="CLIPSxCROPS of the test")
parser.add_argument("--export", default="savedmodels/mine")
options = parser.parse_args()

keras.utils.set_random_seed(0)
videos = data.load(
    options.videos,
    frames=options.frames,
    stride=options.stride,
    size=options.size,
)
print(f"{len(videos.classes)} classes, {videos.splits}, bad: {videos.bad}")

model = nl.create_model(
    options.network,
    num_classes=len(videos.classes),
    clip_shape=(options.frames, options.size, options.size, 3),
)
if options.weights:
    print(nl.load_weights(model, options.weights))

model.compile(
    keras.optimizers.SGD(0.02, momentum=0.9, nesterov=True),
    keras.losses.SparseCategoricalCrossentropy(from_logits=True),
    metrics=["accuracy"],
)
model.fit(
    videos.batches("train", options.batch, seed=0),
    validation_data=videos.batches("validation", options.batch),
    epochs=options.epochs,
    shuffle=False,  # the batches are shuffled
)
print(evaluation.evaluate(model, videos, "test", views=options.views))
version = export.saved_model(model, options.export, videos)
print(f"Exported to {version}. Predict: nl.predict('{version}', 'video.mp4')")
