"""Train a detector on annotated images with `model.fit`; test and export it.

Annotations are in COCO's format:

    python detect_with_fit.py train.json images --validation val.json

The network is for images of up to some 300 pixels, on a CPU; "r50" is a large
one, which starts from the weights of an ImageNet network (`--weights`).
"""

import argparse

import keras

from nonlocal_tf import detection
from nonlocal_tf.training import data, evaluation, export
from nonlocal_tf.training.coco import image_files

parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
parser.add_argument("annotations")
parser.add_argument("images")
parser.add_argument("--validation", help="annotations of other images")
parser.add_argument("--detector", default="small")
parser.add_argument("--weights", help="of a ResNet, for the backbone")
parser.add_argument("--size", type=int, default=256, help="of images, pixels")
parser.add_argument("--batch", type=int, default=2)
parser.add_argument("--epochs", type=int, default=30)
parser.add_argument("--export", default="savedmodels/mine")
options = parser.parse_args()

keras.utils.set_random_seed(0)
coco = data.load_coco(
    options.annotations,
    options.images,
    validation=options.validation,
    short_side_px=options.size,
    long_side_px=options.size,
)
print(coco.summary())

model = detection.create_detector(
    options.detector,
    coco.classes,
    image_preprocessing=coco.image_preprocessing,
    masks=coco.has_masks,
    nonlocal_block={},  # the paper's, in res4
)
if options.weights:
    print(detection.load_backbone_weights(model, options.weights))
model.compile(keras.optimizers.Adam(1e-3))  # the losses are the detector's own
train = coco.batches("train", options.batch, seed=0)
model.fit(train, epochs=options.epochs, shuffle=False)  # it is shuffled

split = "validation" if options.validation else "train"
print(evaluation.evaluate_detector(model, coco, split))
image = image_files.read(coco.annotations(split).images[0].path)
objects = model.detect(image)  # image: uint8 (height, width, 3)
for name, score in zip(objects.classes, objects.scores, strict=True):
    print(f"{name}: {score:.2f}")
print(f"Exported to {export.detector(model, options.export, coco)}")
