"""Cases of benchmarks on TensorFlow."""

import importlib
import os
import types

import keras_cases  # beside this file
import numpy as np
from worker_setup import SEED, bind


def start(cores, device, onednn="1"):
    """Start TensorFlow; return the functions that prepare cases."""
    os.environ["TF_ENABLE_ONEDNN_OPTS"] = onednn
    os.environ["KERAS_BACKEND"] = "tensorflow"
    bind(cores, device)
    import keras
    import tensorflow as tf

    if device == "cpu":
        tf.config.threading.set_intra_op_parallelism_threads(cores)
        tf.config.threading.set_inter_op_parallelism_threads(1)
        tf.config.set_visible_devices([], "GPU")
    elif not tf.config.list_physical_devices("GPU"):
        raise SystemExit("no GPU")
    keras.utils.set_random_seed(SEED)

    def function(run, arrays, dtype, xla=False):
        tensors = [tf.cast(x, dtype) for x in arrays]
        run = tf.function(run, jit_compile=xla or None, autograph=False)

        def call():
            results = tf.nest.flatten(run(*tensors))
            if device == "gpu":
                results[0].numpy()
            return results

        return call

    def with_gradients(run):
        def train(dy, *arrays):
            with tf.GradientTape() as tape:
                tape.watch(arrays)
                y = run(*arrays)
            return y, *tape.gradient(y, arrays, output_gradients=dy)

        return train

    def operator(case, arrays):
        run = keras_cases.operator(case)
        if case["pass"] == "forward":
            arrays = arrays[:-1]
        else:
            run, arrays = with_gradients(run), [arrays[-1], *arrays[:-1]]
        return function(run, arrays, case["dtype"], case["xla"])

    def layer(case):
        run, shapes, variables = keras_cases.block_part(case)
        random = np.random.default_rng(SEED)
        inputs = [random.standard_normal(s, dtype="float32") for s in shapes]
        if case["pass"] == "forward":
            return function(
                lambda *x: run(*x, training=False), inputs, "float32"
            )
        y = run(*inputs, training=True)
        inputs.append(random.standard_normal(y.shape, dtype="float32"))

        def train(*inputs):
            x, dy = inputs[:-1], inputs[-1]
            with tf.GradientTape() as tape:
                tape.watch(x)
                y = run(*x, training=True)
            sources = [*x, *(v.value for v in variables)]
            gradients = tape.gradient(y, sources, output_gradients=dy)
            # A bias before batch normalization has no gradient.
            return y, *(g for g in gradients if g is not None)

        return function(train, inputs, "float32")

    return types.SimpleNamespace(
        version=f"TensorFlow {tf.__version__}, Keras {keras.__version__}",
        function=function,
        operator=operator,
        layer=layer,
        network=network,
        is_finite=lambda x: bool(tf.reduce_all(tf.math.is_finite(x))),
    )


def network(case):
    """Prepare a step of one of our networks, or of Keras layers."""
    import keras
    import tensorflow as tf

    import nonlocal_tf as nl

    train = case["pass"] == "train"
    if "path" in case:
        return _saved_model(case)
    if case["form"] == "keras":
        import keras_networks  # beside this file

        model = keras_networks.resnet(case["spec"], case["stem"], case["shape"])
    else:
        model = nl.create_model(
            case["network"],
            sampling=case["sampling"],
            clip_shape=tuple(case["shape"]),
        )
        if case["form"] == "fastest":
            if train:
                # By name, since this file is not a module of `training`.
                fused = importlib.import_module(
                    "training.loop.fused_batch_norm"
                )
                fused.use_fused_batch_norm(model)
            else:
                model = nl.fold(model)
    random = np.random.default_rng(SEED)
    clips = random.standard_normal((1, *case["shape"]), dtype="float32")
    clips, labels = tf.constant(clips), tf.constant([3])
    if case["form"] == "predict":
        clips = clips.numpy()
        return lambda: [model.predict(clips, verbose=0)]
    if not train:
        run = tf.function(lambda x: model(x, training=False), autograph=False)
        return lambda: [run(clips)]
    optimizer = keras.optimizers.SGD(0.01, momentum=0.9, nesterov=True)
    loss_of = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    weights = model.trainable_variables
    optimizer.build(weights)

    @tf.function(autograph=False)
    def step(x, y):
        with tf.GradientTape() as tape:
            loss = loss_of(y, model(x, training=True))
        sources = [weight.value for weight in weights]
        optimizer.apply(tape.gradient(loss, sources), weights)
        return loss

    return lambda: [step(clips, labels)]


def _saved_model(case):
    """Prepare a request to a SavedModel of `nonlocal-tf export`."""
    import tensorflow as tf

    model = tf.saved_model.load(case["path"])
    random = np.random.default_rng(SEED)
    shape = (1, *case["shape"])
    clips = tf.constant(random.integers(0, 256, shape, "uint8"))
    serve = model.signatures["serving_default"]
    # The function keeps a reference to the model.
    return lambda: [model and serve(clips=clips)["logits"]]
