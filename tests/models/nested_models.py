"""One small network inside other models, and the same network alone."""

import dataclasses

import keras
from keras import layers

from nonlocal_tf.layers import BatchNormalization, Conv2D, NonLocalBlock
from tests import harness

IMAGE = (9, 7, 3)
FRAMES = 3


@dataclasses.dataclass(frozen=True)
class Nested:
    """A model with a network inside.

    Attributes:
        model: the model; it ends in five scores.
        network: the functional network inside, on single images.
        calls: number of images that the network runs on for one example.
        scale: factor on the pixels before the network.
    """

    model: keras.Model
    network: keras.Model
    calls: int = 1
    scale: float = 1.0

    @property
    def shape(self):
        """Shape of an example."""
        return (FRAMES, *IMAGE) if self.calls == FRAMES else IMAGE


def network():
    """Build a network with a block, and normalizations that can be folded."""
    pixels = keras.Input(IMAGE)
    x = Conv2D(4, 3, strides=2, use_bias=False, name="conv1")(pixels)
    x = BatchNormalization(name="conv1_bn")(x)
    x = layers.ReLU(name="conv1_relu")(x)
    x = NonLocalBlock(name="block", gamma_init=0.5)(x)
    x = Conv2D(6, 3, strides=2, use_bias=False, name="conv2")(x)
    x = BatchNormalization(name="conv2_bn")(x)
    return keras.Model(pixels, x, name="network")


def head():
    return [
        layers.GlobalAveragePooling2D(name="pool"),
        layers.Dense(5, name="scores"),
    ]


def scores(x):
    for layer in head():
        x = layer(x)
    return x


class Classifier(keras.Model):
    """Subclassed model of a network and a head."""

    def __init__(self, network, **kwargs):
        super().__init__(**kwargs)
        self.network = network
        self.pool, self.scores = head()

    def call(self, x, training=None):
        return self.scores(self.pool(self.network(x, training=training)))


class Branch(keras.Layer):
    """Layer of a user's own class with a network inside."""

    def __init__(self, network, **kwargs):
        super().__init__(**kwargs)
        self.network = network

    def call(self, x):
        return 2 * self.network(x)


class Untraceable(Branch):
    """Layer whose `call` needs numbers."""

    def call(self, x):
        x = self.network(x)
        is_positive = keras.ops.convert_to_numpy(keras.ops.sum(x)) > 0
        return x if is_positive else -x

    def compute_output_shape(self, shape):
        return self.network.compute_output_shape(shape)


def functional():
    inputs, inner = keras.Input(IMAGE), network()
    return Nested(keras.Model(inputs, scores(inner(inputs))), inner)


def twice_nested():
    pixels, inner = keras.Input(IMAGE), network()
    middle = keras.Model(pixels, layers.ReLU()(inner(pixels)), name="middle")
    inputs = keras.Input(IMAGE)
    return Nested(keras.Model(inputs, scores(middle(inputs))), inner)


def called_twice():
    inputs, inner = keras.Input(IMAGE), network()
    x = inner(inputs) + inner(layers.Rescaling(0.5)(inputs))
    return Nested(keras.Model(inputs, scores(x)), inner, calls=2)


def sequential():
    inner = network()
    model = keras.Sequential([keras.Input(IMAGE), inner, *head()])
    return Nested(model, inner)


def in_frames():
    inputs, inner = keras.Input((FRAMES, *IMAGE)), network()
    x = layers.TimeDistributed(inner, name="frames")(inputs)
    x = layers.TimeDistributed(layers.GlobalAveragePooling2D())(x)
    x = layers.GlobalAveragePooling1D()(x)
    model = keras.Model(inputs, layers.Dense(5, name="scores")(x))
    return Nested(model, inner, calls=FRAMES)


def subclassed():
    inner = network()
    model = Classifier(inner)
    model(keras.ops.zeros((1, *IMAGE)))
    return Nested(model, inner)


def subclassed_in_functional():
    inputs, inner = keras.Input(IMAGE), network()
    model = keras.Model(inputs, Classifier(inner, name="classifier")(inputs))
    return Nested(model, inner)


def in_a_layer():
    inputs, inner = keras.Input(IMAGE), network()
    x = Branch(inner, name="branch")(inputs)
    return Nested(keras.Model(inputs, scores(x)), inner)


def preprocessed():
    inputs, inner = keras.Input(IMAGE), network()
    x = layers.RandomFlip("horizontal")(layers.Rescaling(0.25)(inputs))
    model = keras.Model(inputs, scores(inner(x)))
    return Nested(model, inner, scale=0.25)


FORMS = (
    functional,
    twice_nested,
    called_twice,
    sequential,
    in_frames,
    subclassed,
    subclassed_in_functional,
    in_a_layer,
    preprocessed,
)


def build(form):
    """Build a form with weights that are not the initial ones."""
    nested = form()
    harness.randomise(nested.model, 0.2)
    return nested
