"""One process of a benchmark: prepares cases and runs them when asked.

`operators.py` and `networks.py` start one for each environment (TensorFlow,
JAX, PyTorch) and let them take turns. It is run as a file, not as a module of
`training`, so that an environment needs nothing but its own framework; requests
and answers are lines of JSON on standard input and output.
"""

import functools
import json
import os
import pathlib
import runpy
import sys
import time
import types
from collections.abc import Callable

import numpy as np

SEED = 20180618
PEAK_SIZE = 2048
COPY_MB = 256


def main(prepare: Callable | None = None) -> None:
    """Answers to the process that has started this one.

    Args:
        prepare: from a framework and a case to what runs it. Default: of
            operators and networks.
    """
    prepare = prepare or _prepare
    environment, cores, device = sys.argv[1], int(sys.argv[2]), sys.argv[3]
    answers = os.dup(1)
    os.dup2(2, 1)  # what a framework prints must not mix with the answers
    framework = START[environment](cores, device)
    prepared: dict[str, object] = {}

    def answer(result) -> None:
        os.write(answers, json.dumps(result).encode() + b"\n")

    answer(framework.version)
    for line in sys.stdin:
        request = json.loads(line)
        try:
            answer(_serve(framework, prepare, prepared, **request))
        except Exception as error:  # told to the parent, which prints it
            answer({"error": f"{type(error).__name__}: {error}"[:300]})


def _serve(framework, prepare, prepared, do, key=None, case=None):
    if do == "prepare":
        prepared[key] = prepare(framework, case)
        first = prepared[key]()
        return first if isinstance(first, dict) else {}
    if do == "run":
        cpu, wall = time.process_time(), time.perf_counter()
        prepared[key]()
        return {
            "cpu_s": time.process_time() - cpu,
            "wall_s": time.perf_counter() - wall,
        }
    if do == "forget":
        prepared.clear()
        return {}
    return {"memory": _memory, "peak": _peak, "most": _most}[do](
        framework, case
    )


def _prepare(framework, case):
    if "network" in case:
        return framework.network(case)
    if "layer" in case:
        return framework.layer(case)
    return framework.operator(case, _arrays(case))


def _arrays(case) -> list:
    """The function's arrays, and the gradient of its value."""
    random = np.random.default_rng(SEED)
    n, m, d, batch = (case[key] for key in ("n", "m", "d", "batch"))

    def normal(*shape):
        return random.standard_normal((batch, *shape), dtype="float32")

    if case["function"] == "concatenation":
        return [normal(n), normal(m), normal(m, d), normal(n, d)]
    # Logits of size one, as after training.
    theta = normal(n, d) / np.float32(d**0.5)
    return [theta, normal(m, d), normal(m, d), normal(n, d)]


def _memory(framework, case):
    """MB above what a process holds that has run the case on small inputs.

    Inputs are not counted, results and gradients are.
    """
    if "layer" in case:
        small = {**case, "shape": [1, 2, 4, 4, case["shape"][-1]]}
    else:
        small = {**case, "n": 256, "m": 256}
    _prepare(framework, small)()
    run = _prepare(framework, case)
    pathlib.Path("/proc/self/clear_refs").write_text("5")  # forget the peak
    before = _status("VmRSS")
    cpu, wall = time.process_time(), time.perf_counter()
    results = run()
    times = {
        "cpu_s": time.process_time() - cpu,
        "wall_s": time.perf_counter() - wall,
    }
    finite = all(framework.is_finite(x) for x in results)
    return {"growth_mb": _status("VmHWM") - before, "finite": finite, **times}


def _most(framework, case):
    """The most memory of a process that does nothing but the case, in MB."""
    run = _prepare(framework, case)
    run()
    wall = time.perf_counter()
    results = run()
    wall = time.perf_counter() - wall
    finite = all(framework.is_finite(x) for x in results)
    return {"peak_mb": _status("VmHWM"), "finite": finite, "wall_s": wall}


def _status(field):
    status = pathlib.Path("/proc/self/status").read_text()
    line = next(x for x in status.splitlines() if x.startswith(field + ":"))
    return int(line.split()[1]) / 1024


def _peak(framework, case):
    """GF/s of a matrix product, and GB/s of a copy that adds."""
    random = np.random.default_rng(SEED)
    square = random.standard_normal((PEAK_SIZE, PEAK_SIZE), dtype="float32")
    vector = np.zeros(COPY_MB * 2**18, "float32")
    product = framework.function(lambda x: x @ x, [square], case["dtype"])
    copy = framework.function(lambda x: x + 1, [vector], case["dtype"])
    clock = time.process_time if case["clock"] == "cpu_s" else time.perf_counter
    seconds = []
    for run in (product, copy):
        run()
        turns = []
        for _ in range(7):
            start = clock()
            run()
            turns.append(clock() - start)
        seconds.append(min(turns))
    width = 4 if case["dtype"] == "float32" else 2
    return {
        "gflops": 2 * PEAK_SIZE**3 / seconds[0] / 1e9,
        "gbytes": 2 * vector.size * width / seconds[1] / 1e9,
    }


# --------------------------------------------------------------- TensorFlow


def _tensorflow(cores, device, onednn="1"):
    os.environ["TF_ENABLE_ONEDNN_OPTS"] = onednn
    os.environ["KERAS_BACKEND"] = "tensorflow"
    _bind(cores, device)
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
        run = _keras_operator(case)
        if case["pass"] == "forward":
            arrays = arrays[:-1]
        else:
            run, arrays = with_gradients(run), [arrays[-1], *arrays[:-1]]
        return function(run, arrays, case["dtype"], case["xla"])

    def layer(case):
        run, shapes, variables = _keras_layer(case)
        random = np.random.default_rng(SEED)
        given = [random.standard_normal(s, dtype="float32") for s in shapes]
        if case["pass"] == "forward":
            return function(
                lambda *x: run(*x, training=False), given, "float32"
            )
        y = run(*given, training=True)
        given.append(random.standard_normal(y.shape, dtype="float32"))

        def train(*inputs):
            x, dy = inputs[:-1], inputs[-1]
            with tf.GradientTape() as tape:
                tape.watch(x)
                y = run(*x, training=True)
            sources = [*x, *(v.value for v in variables)]
            gradients = tape.gradient(y, sources, output_gradients=dy)
            # The beta of a bn takes away what a bias before it adds.
            return y, *(g for g in gradients if g is not None)

        return function(train, given, "float32")

    return types.SimpleNamespace(
        version=f"TensorFlow {tf.__version__}, Keras {keras.__version__}",
        function=function,
        operator=operator,
        layer=layer,
        network=_tensorflow_network,
        is_finite=lambda x: bool(tf.reduce_all(tf.math.is_finite(x))),
    )


def _tensorflow_network(case):
    """A step of a network: ours, ours at its fastest, or of Keras' layers."""
    import keras
    import tensorflow as tf

    import nonlocal_tf as nl

    from ..loop import fused_batch_norm
    from . import keras_networks

    train = case["pass"] == "train"
    if "path" in case:
        return _saved_model(case)
    if case["form"] == "keras":
        model = keras_networks.resnet(case["spec"], case["stem"], case["shape"])
    else:
        model = nl.create_model(
            case["network"],
            sampling=case["sampling"],
            clip_shape=tuple(case["shape"]),
        )
        if case["form"] == "fastest":
            if train:
                fused_batch_norm.use_fused_batch_norm(model)
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
    """A request to what `training.export` writes."""
    import tensorflow as tf

    model = tf.saved_model.load(case["path"])
    random = np.random.default_rng(SEED)
    shape = (1, *case["shape"])
    clips = tf.constant(random.integers(0, 256, shape, "uint8"))
    serve = model.signatures["serving_default"]
    # The model dies with its name: the function keeps it.
    return lambda: [model and serve(clips=clips)["logits"]]


# ---------------------------------------------------------------------- JAX


def _jax(cores, device):
    os.environ["KERAS_BACKEND"] = "jax"
    if device == "cpu":
        os.environ["JAX_PLATFORMS"] = "cpu"
        if cores == 1:
            os.environ["XLA_FLAGS"] = "--xla_cpu_multi_thread_eigen=false"
    _bind(cores, device)
    import jax
    import keras

    if device == "gpu" and jax.default_backend() != "gpu":
        raise SystemExit("no GPU")

    def function(run, arrays, dtype, xla=True):
        del xla  # always
        tensors = [jax.numpy.asarray(x, dtype) for x in arrays]
        run = jax.jit(run)
        return lambda: jax.tree.leaves(jax.block_until_ready(run(*tensors)))

    def operator(case, arrays):
        *arrays, dy = arrays
        run = _keras_operator(case)
        if case["pass"] == "forward":
            return function(run, arrays, case["dtype"])

        def train(dy, *arrays):
            y, pullback = jax.vjp(run, *arrays)
            return y, *pullback(dy)

        return function(train, [dy, *arrays], case["dtype"])

    return types.SimpleNamespace(
        version=f"JAX {jax.__version__}, Keras {keras.__version__}",
        function=function,
        operator=operator,
        is_finite=lambda x: bool(jax.numpy.isfinite(x).all()),
    )


def _keras_operator(case):
    """Ours, or Keras' own attention."""
    from keras import ops

    from nonlocal_tf import ops as nonlocal_ops

    if case["method"] == "attention":

        def attention(theta, phi, g):
            heads = (ops.expand_dims(x, 2) for x in (theta, phi, g))
            y = ops.dot_product_attention(*heads, scale=1.0)
            return ops.squeeze(y, 2)

        return attention
    function = getattr(nonlocal_ops, case["function"])
    return lambda *arrays: function(*arrays, method=case["method"])


def _keras_layer(case):
    """(function, shapes of its inputs, variables) of a block or a part."""
    from keras import layers

    from nonlocal_tf.layers import PAIRWISE, NonLocalBlock
    from nonlocal_tf.ops import max_pool

    shape, pairwise = tuple(case["shape"]), case["pairwise"]
    batch, channels, d = shape[0], shape[-1], shape[-1] // 2
    n, pool = int(np.prod(shape[1:-1])), case["subsample"]
    m = int(np.prod([s // p for s, p in zip(shape[1:-1], pool, strict=True)]))
    kind = case["layer"]
    if kind == "block":
        block = NonLocalBlock(pairwise, subsample=tuple(pool), gamma_init=1.0)
        block.build(shape)
        return block, [shape], block.trainable_variables
    if kind == "pairwise":
        layer = PAIRWISE[pairwise]()
        width = channels if pairwise == "gaussian" else d
        shapes = [(batch, n, width), (batch, m, width), (batch, m, d)]
        layer.build(*shapes)
        return _in_training(layer), shapes, layer.trainable_variables
    if kind == "pool":
        return lambda x, training: max_pool(x, tuple(pool)), [shape], []
    if kind == "add":
        return lambda x, y, training: x + y, [shape, shape], []
    if kind == "bn":
        layer = layers.BatchNormalization(momentum=0.9, epsilon=1e-5)
        layer.build((None, None, channels))
        return layer, [(batch, n, channels)], layer.trainable_variables
    if kind in ("three products", "one product"):
        names = ("theta", "phi", "g")
        products = [layers.Dense(d, name=name) for name in names]
        for layer in products:
            layer.build((None, None, channels))
        variables = [v for layer in products for v in layer.variables]
        run = _three_products if kind == "three products" else _one_product
        return (
            functools.partial(run, products),
            [(batch, n, channels)],
            variables,
        )
    rows, width, units = {
        "theta": (n, channels, d),
        "phi": (m, channels, d),
        "g": (m, channels, d),
        "out": (n, d, channels),
    }[kind]
    layer = layers.Dense(units)
    layer.build((None, None, width))
    shapes = [(batch, rows, width)]
    return _in_training(layer), shapes, layer.trainable_variables


def _three_products(products, x, training):
    """What a block does; joined, so that both give the same one array."""
    from keras import ops

    return ops.concatenate([layer(x) for layer in products], axis=-1)


def _one_product(products, x, training):
    """The same by one product, parted and joined as for a block."""
    from keras import ops

    kernel = ops.concatenate([layer.kernel for layer in products], axis=1)
    bias = ops.concatenate([layer.bias for layer in products], axis=0)
    parts = ops.split(ops.matmul(x, kernel) + bias, len(products), axis=-1)
    return ops.concatenate(parts, axis=-1)


def _in_training(layer):
    """A layer to which training makes no difference."""
    return lambda *inputs, training: layer(*inputs)


# -------------------------------------------------------------------- torch


def _torch(cores, device):
    _bind(cores, device)
    import torch

    if device == "gpu" and not torch.cuda.is_available():
        raise SystemExit("no GPU")
    torch.set_num_threads(cores)
    torch.manual_seed(SEED)
    place = "cuda" if device == "gpu" else "cpu"

    def tensor(x, dtype):
        return torch.tensor(x, dtype=getattr(torch, dtype), device=place)

    def done(results):
        if device == "gpu":
            torch.cuda.synchronize()
        return results

    def function(run, arrays, dtype, xla=False):
        del xla
        tensors = [tensor(x, dtype) for x in arrays]

        def call():
            with torch.no_grad():
                return done([run(*tensors)])

        return call

    def plain_softmax(theta, phi, g):
        return torch.softmax(theta @ phi.transpose(1, 2), -1) @ g

    def plain_dot_product(theta, phi, g):
        return (theta @ phi.transpose(1, 2) / phi.shape[1]) @ g

    def associative(theta, phi, g):
        return theta @ (phi.transpose(1, 2) @ g / phi.shape[1])

    def plain_concatenation(a, b, g):
        return torch.relu(a[:, :, None] + b[:, None, :]) @ g / b.shape[1]

    def sdpa(theta, phi, g):
        theta, phi, g = (x[:, None] for x in (theta, phi, g))  # one head
        return torch.nn.functional.scaled_dot_product_attention(
            theta, phi, g, scale=1.0
        )[:, 0]

    functions = {
        ("softmax", "plain"): plain_softmax,
        ("softmax", "sdpa"): sdpa,
        ("dot_product", "plain"): plain_dot_product,
        ("dot_product", "associative"): associative,
        ("concatenation", "plain"): plain_concatenation,
    }

    def operator(case, arrays):
        *arrays, dy = arrays
        run = functions[case["function"], case["method"]]
        if case["pass"] == "forward":
            return function(run, arrays, case["dtype"])
        tensors = [tensor(x, case["dtype"]).requires_grad_() for x in arrays]
        dy = tensor(dy, case["dtype"])

        def train():
            y = run(*tensors)
            return done([y, *torch.autograd.grad(y, tensors, dy)])

        return train

    return types.SimpleNamespace(
        version=f"PyTorch {torch.__version__}",
        function=function,
        operator=operator,
        network=_torch_network,
        is_finite=lambda x: bool(torch.isfinite(x).all()),
    )


def _torch_network(case):
    """A step of a network in plain modules."""
    import torch

    # By its file: `training` itself would import TensorFlow.
    path = pathlib.Path(__file__).with_name("torch_networks.py")
    networks = runpy.run_path(str(path))
    network = networks["ResNet"](case["spec"], case["stem"])
    random = np.random.default_rng(SEED)
    arrays = random.standard_normal((1, *case["shape"]), dtype="float32")
    clips = torch.tensor(arrays.transpose(0, 4, 1, 2, 3).copy())
    labels = torch.tensor([3])
    if case["pass"] != "train":
        network.eval()

        def run():
            with torch.inference_mode():
                return [network(clips)]

        return run
    network.train()
    optimizer = torch.optim.SGD(
        network.parameters(), 0.01, momentum=0.9, nesterov=True
    )

    def step():
        optimizer.zero_grad()
        loss = torch.nn.functional.cross_entropy(network(clips), labels)
        loss.backward()
        optimizer.step()
        return [loss.detach()]

    return step


def _bind(cores, device):
    os.environ["TF_CPP_MIN_LOG_LEVEL"] = "2"
    if device == "cpu":
        os.sched_setaffinity(0, set(sorted(os.sched_getaffinity(0))[:cores]))


START: dict[str, Callable] = {
    "tf": _tensorflow,
    "tf without oneDNN": functools.partial(_tensorflow, onednn="0"),
    "jax": _jax,
    "torch": _torch,
}

if __name__ == "__main__":
    root = pathlib.Path(__file__).resolve().parent.parent.parent
    sys.path[0] = str(root)  # for nonlocal_tf, also where it is not installed
    main()
