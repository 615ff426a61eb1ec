"""Cases of benchmarks on JAX."""

import os
import types

import keras_cases  # beside this file
from worker_setup import bind


def start(cores, device):
    """Start JAX; return the functions that prepare cases."""
    os.environ["KERAS_BACKEND"] = "jax"
    if device == "cpu":
        os.environ["JAX_PLATFORMS"] = "cpu"
        if cores == 1:
            os.environ["XLA_FLAGS"] = "--xla_cpu_multi_thread_eigen=false"
    bind(cores, device)
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
        run = keras_cases.operator(case)
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
