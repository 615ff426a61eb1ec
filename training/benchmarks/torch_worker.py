"""Cases of benchmarks on PyTorch."""

import pathlib
import runpy
import types

import numpy as np
from worker_setup import SEED, bind


def start(cores, device):
    """Start PyTorch; return the functions that prepare cases."""
    bind(cores, device)
    import torch

    if device == "gpu" and not torch.cuda.is_available():
        raise SystemExit("no GPU")
    torch.set_num_threads(cores)
    torch.manual_seed(SEED)
    # A shape beyond the limit would run without being compiled.
    torch._dynamo.config.recompile_limit = 256
    torch._dynamo.config.fail_on_recompile_limit_hit = True
    place = "cuda" if device == "gpu" else "cpu"

    def tensor(x, dtype):
        return torch.tensor(x, dtype=getattr(torch, dtype), device=place)

    def synchronized(results):
        if device == "gpu":
            torch.cuda.synchronize()
        return results

    def function(run, arrays, dtype, xla=False):
        del xla
        tensors = [tensor(x, dtype) for x in arrays]

        def call():
            with torch.no_grad():
                return synchronized([run(*tensors)])

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
        if case["method"] == "compiled":
            run = torch.compile(
                functions[case["function"], "plain"], dynamic=False
            )
        else:
            run = functions[case["function"], case["method"]]
        if case["pass"] == "forward":
            return function(run, arrays, case["dtype"])
        tensors = [tensor(x, case["dtype"]).requires_grad_() for x in arrays]
        dy = tensor(dy, case["dtype"])

        def train():
            y = run(*tensors)
            return synchronized([y, *torch.autograd.grad(y, tensors, dy)])

        return train

    return types.SimpleNamespace(
        version=f"PyTorch {torch.__version__}",
        function=function,
        operator=operator,
        layer=layer,
        network=network,
        is_finite=lambda x: bool(torch.isfinite(x).all()),
    )


def layer(case):
    """Prepare a step of a non-local block in plain modules."""
    import torch

    batch, *sizes, channels = case["shape"]
    block = _modules()["NonLocal"](channels, case["pairwise"])
    if case["subsample"] == [1, 1, 1]:
        block.pool = torch.nn.Identity()
    is_training = case["pass"] == "train"
    block.train(is_training)
    if case["method"] == "compiled":
        options = {} if is_training else {"freezing": True}
        run = torch.compile(block, dynamic=False, options=options)
    else:
        run = block
    x = torch.randn(batch, channels, *sizes, requires_grad=is_training)
    if not is_training:

        def forward():
            with torch.no_grad():
                return [run(x)]

        return forward
    dy = torch.randn(x.shape)
    sources = [x, *block.parameters()]

    def train():
        y = run(x)
        return [y, *torch.autograd.grad(y, sources, dy)]

    return train


def _modules():
    # By path, since importing `training` would import TensorFlow.
    path = pathlib.Path(__file__).with_name("torch_networks.py")
    return runpy.run_path(str(path))


def network(case):
    """Prepare a step of a network in plain modules."""
    import torch

    model = _modules()["ResNet"](case["spec"], case["stem"])
    random = np.random.default_rng(SEED)
    arrays = random.standard_normal((1, *case["shape"]), dtype="float32")
    clips = torch.tensor(arrays.transpose(0, 4, 1, 2, 3).copy())
    labels = torch.tensor([3])
    if case["pass"] != "train":
        model.eval()

        def run():
            with torch.inference_mode():
                return [model(clips)]

        return run
    model.train()
    optimizer = torch.optim.SGD(
        model.parameters(), 0.01, momentum=0.9, nesterov=True
    )

    def step():
        optimizer.zero_grad()
        loss = torch.nn.functional.cross_entropy(model(clips), labels)
        loss.backward()
        optimizer.step()
        return [loss.detach()]

    return step
