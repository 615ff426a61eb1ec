import argparse
import json
import pathlib

import numpy as np
import pytest

import nonlocal_tf as nl
from nonlocal_tf.models import backbones
from tests import harness
from tests.checkpoints import checkpoint_files
from training.benchmarks import keras_networks, networks

CLIP = (4, 64, 64, 3)


def options(**changed):
    defaults = {"only": "c2d_r50", "rounds": 1, "cores": 1}
    defaults["environments"] = ["tf"]
    return argparse.Namespace(**{**defaults, **changed})


@pytest.mark.parametrize(
    "name", ["c2d_r50", pytest.param("i3d_nl5_r50", marks=pytest.mark.full)]
)
def test_the_plain_keras_network_is_ours_in_another_form(name):
    case = networks.case_of(name, "inference", "tf", "keras", shape=CLIP)
    plain = keras_networks.resnet(case["spec"], case["stem"], CLIP)
    ours = nl.create_model(name, sampling="8x8", clip_shape=CLIP)
    harness.randomise(ours, 0.05)
    for layer in ours.layers:
        if layer.name.endswith("_nonlocal"):
            for part in ("theta", "phi", "g", "out"):
                kernel, bias = getattr(layer, part).get_weights()
                plain.get_layer(f"{layer.name}_{part}").set_weights(
                    [kernel[None, None, None], bias]
                )
            plain.get_layer(f"{layer.name}_bn").set_weights(
                layer.bn.get_weights()
            )
        elif layer.weights:
            plain.get_layer(layer.name).set_weights(layer.get_weights())
    x = harness.normal((1, *CLIP))
    expected = np.asarray(plain(x, training=False))
    y = np.asarray(ours(x, training=False))
    bound = 1e-5 * np.abs(expected).max()
    np.testing.assert_allclose(y, expected, atol=bound)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("stored", "name", "stem"),
    [
        ("caffe2_i3d_r50_32x2", "i3d_r50", "official_strided"),
        ("slowfast_I3D_NLN_8x8_R50", "i3d_nl5_r50", "slowfast"),
    ],
)
def test_the_torch_network_gives_other_peoples_logits(
    stored, name, stem, tmp_path
):
    torch = pytest.importorskip("torch")
    from training.benchmarks.torch_networks import ResNet

    with np.load(checkpoint_files.DATA / f"{stored}.npz") as data:
        source, seed = stored.split("_")[0], 7 if "slow" in stored else 11
        arrays = checkpoint_files.weights_of(data["names"], data["shapes"])
        x, logits = checkpoint_files.clip(data["input"], seed), data["logits"]
    places = backbones.PLACES[5, 50] if "_nl5" in name else {}
    spec = backbones.resnet_config("i3d", 50, places)
    network = ResNet(
        vars(spec),
        vars(backbones.STEMS[stem]),
        window=(4, 7, 7),
    )
    # Their weights by way of our model: its paths are those of the modules.
    model, _ = nl.from_checkpoint(
        checkpoint_files.write(tmp_path / "a", source, arrays), sampling="32x2"
    )
    state = network.state_dict()
    roles = {"kernel": "weight", "gamma": "weight", "beta": "bias"}
    roles |= {"moving_mean": "running_mean", "moving_variance": "running_var"}
    for variable in model.weights:
        layer, role = variable.path.rsplit("/", 1)
        key = layer.replace("_bn", "_norm").replace("/", ".")
        key = f"layers.{key}.{roles.get(role, role)}"
        array = np.asarray(variable)
        if array.ndim > 1:
            array = np.moveaxis(array, (-1, -2), (0, 1))
        state[key] = torch.tensor(array.copy()).reshape(state[key].shape)
    network.load_state_dict(state)
    for module in network.modules():
        if hasattr(module, "scale"):
            module.scale = module.g.out_channels**-0.5
    network.eval()
    with torch.inference_mode():
        y = network(torch.tensor(x.transpose(0, 4, 1, 2, 3).copy()))
    assert checkpoint_files.relative_error(y, logits) < 1e-3


@pytest.mark.full
def test_every_form_takes_its_turn(monkeypatch):
    monkeypatch.setattr(networks, "SHAPE", CLIP)
    result = networks.measure(options())
    forms = {(c["form"], c["pass"]) for c in result["cases"]}
    assert len(forms) == len(result["cases"]) == 6
    assert not any("error" in case for case in result["cases"])
    assert "| tf, fastest |" in networks.render(result)


def timed(form, passed, seconds, env="tf", network="c2d_r50"):
    return {
        "network": network,
        "env": env,
        "form": form,
        "pass": passed,
        "seconds": seconds,
        "ratio": 1.0,
        "multiply_adds": 5e9,
    }


def figures(*cases, memory=()):
    return {
        "machine": "one",
        "cores": 1,
        "rounds": 3,
        "versions": {"tf": "TensorFlow"},
        "gflops": {"tf": 100.0},
        "cases": list(cases),
        "memory": list(memory),
    }


def test_a_training_step_counts_as_three_passes():
    for passed, share in (("inference", 0.5), ("train", 1.5)):
        case = timed("fastest", passed, [0.2])
        assert networks.share_of_peak(case, figures(case)) == pytest.approx(
            share
        )


def test_bars_are_medians_over_the_rounds():
    result = figures(
        timed("modules", "train", [3.0, 2.0, 9.0], env="torch"),
        timed("fastest", "train", [2.0, 2.0, 3.0]),
    )
    bars = {what: (value, ok) for what, value, ok in networks.bars(result)}
    key = "c2d_r50 train, tf fastest: times torch modules, at least 1.05"
    assert bars[key] == (1.5, True)


def test_a_bar_that_is_missed_is_told():
    row = {"network": "i3d_nl5_r50", "sampling": "32x2", "cores": 2}
    row |= {"peak_mb": 20_000.0, "wall_s": 1.0}
    result = figures(memory=[row])
    assert [ok for *_, ok in networks.bars(result)] == [False]
    assert "| 20,000 |" in networks.render(result)


def test_a_case_that_fails_has_a_row():
    broken = {**timed("keras", "train", []), "error": "no"}
    good = timed("keras", "inference", [0.1])
    assert "| tf, keras | 100 | 1.00 |" in networks.render(
        figures(good, broken)
    )


FOLDER = pathlib.Path(networks.__file__).parent
GUIDE = FOLDER.parents[1] / "docs" / "pages"


def published():
    return json.loads((FOLDER / "networks.json").read_text("utf-8"))


def test_the_published_tables_are_those_of_the_figures():
    text = (FOLDER / "README.md").read_text("utf-8")
    assert networks.render(published()) in text


def test_the_figures_of_the_guide_are_those_of_the_benchmark():
    text = (GUIDE / "networks.md").read_text("utf-8")
    rows = networks.summary(published())
    assert len(rows) == 2
    for row in rows:
        assert row in text
    peaks = [
        row["peak_mb"]
        for row in published()["memory"]
        if row["sampling"] == "128x1"
    ]
    assert f"of `i3d_nl5_r50` takes {max(peaks) / 1e3:.1f} GB" in text
