import gzip

import pytest

import nonlocal_tf as nl
from nonlocal_tf.checkpoints.errors import MismatchError
from nonlocal_tf.checkpoints.write import to_arrays
from tests import harness
from tests.checkpoints import checkpoint_files
from tests.models.tiny import tiny
from training import convert
from training.io import cli, weight_errors
from training.io.user_error import UserError


@pytest.fixture
def blobs(tmp_path):
    """A Caffe2 file of a small network."""
    model = tiny("c2d_nl1_r50")
    harness.randomise(model, 0.2)
    nl.save_weights(model, tmp_path / "a.pkl", "caffe2")
    return tmp_path / "a.pkl"


def run(*arguments):
    return cli.run(convert.main, [str(a) for a in arguments])


def test_a_round_trip_is_bit_identical(blobs, tmp_path, capsys):
    slowfast_file, caffe2_file = tmp_path / "a.pyth", tmp_path / "b.pkl"
    assert run(blobs, slowfast_file, "--to", "slowfast") == 0
    assert run(slowfast_file, caffe2_file) == 0  # .pkl is caffe2
    assert blobs.read_bytes() == caffe2_file.read_bytes()
    out = capsys.readouterr().out
    assert "279 variables loaded" in out
    assert "a.pyth (slowfast) written; its own code differs: stem is" in out


def test_assumptions_are_printed(tmp_path, capsys):
    model = tiny("c2d_nl1_r50")
    checkpoint_files.write(
        tmp_path / "a.pkl", "caffe2", to_arrays(model, "caffe2")
    )
    assert run(tmp_path / "a.pkl", tmp_path / "b.pkl", "--to", "caffe2") == 0
    assert "assumed pairwise='embedded_gaussian'" in capsys.readouterr().out


def test_a_keras_file_has_the_requested_architecture(blobs, tmp_path):
    out = tmp_path / "a.keras"
    options = ("--sampling", "8x8", "--pairwise", "dot_product")
    assert run(blobs, out, "--to", "keras", *options) == 0
    model, _ = nl.from_checkpoint(out)
    block = model.get_layer("res4_block4_nonlocal")
    assert type(block.pairwise).__name__ == "DotProduct"
    assert model.input_shape == (None, 8, 224, 224, 3)


def test_a_scale_is_a_number_or_rsqrt(blobs, tmp_path):
    out = tmp_path / "a.keras"
    assert run(blobs, out, "--to", "keras", "--scale", "0.5") == 0
    model, _ = nl.from_checkpoint(out)
    assert model.get_layer("res4_block4_nonlocal").pairwise.scale == 0.5


def test_stem_and_clip_options(blobs, tmp_path):
    out = tmp_path / "a.keras"
    options = ("--sampling", "8x8", "--stem", "slowfast")
    options += ("--shape", "8x256x256")
    assert run(blobs, out, "--to", "keras", *options) == 0
    model, _ = nl.from_checkpoint(out)
    assert model.get_layer("pool1").padding == (0, 1, 1)
    assert model.output_shape == (None, 1, 2, 2, 7)


@pytest.mark.parametrize(
    ("option", "text", "message"),
    [
        ("--scale", "half", "expected rsqrt or a number, received 'half'"),
        ("--shape", "8xbig", "expected sizes such as 8x256x256"),
    ],
)
def test_a_misspelt_value_is_an_error(option, text, message, blobs, capsys):
    with pytest.raises(SystemExit) as stop:
        run(blobs, "b.pkl", "--to", "caffe2", option, text)
    assert stop.value.code == 2
    assert message in capsys.readouterr().err


def test_without_arguments_it_lists_the_formats(capsys):
    assert run() == 0
    out = capsys.readouterr().out
    for name in convert.FORMATS:
        assert f"\n  {name} " in out
    assert convert.EXAMPLE in out


def test_formats_are_the_writable_ones():
    assert set(convert.FORMATS) == set(nl.checkpoints.WRITABLE_FORMATS)


def test_a_file_is_replaced_only_on_request(blobs, tmp_path, capsys):
    out = tmp_path / "b.pkl"
    out.write_bytes(b"precious")
    assert run(blobs, out, "--to", "caffe2") == 2
    assert "--overwrite" in capsys.readouterr().err
    assert out.read_bytes() == b"precious"
    assert run(blobs, out, "--to", "caffe2", "--overwrite") == 0
    assert out.read_bytes() == blobs.read_bytes()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("a.pkl",), "Give the file to read"),
        (("a.pkl", "b.bin"), "Give --to FORMAT, or a name that ends in one of"),
        (("a.pkl", "b.h5", "--to", "h5"), "end in '.weights.h5'"),
        (("none.pkl", "b.pkl", "--to", "caffe2"), "none.pkl"),
        (("a.pkl", "none/b.pkl", "--to", "caffe2"), "There is no folder"),
    ],
)
def test_user_errors_are_one_line(arguments, message, tmp_path, capsys):
    arguments = [
        tmp_path / a if a.endswith((".pkl", ".h5")) else a for a in arguments
    ]
    assert run(*arguments) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1


def test_a_failed_conversion_leaves_no_file(tmp_path, capsys):
    bad = tmp_path / "bad.pkl"
    bad.write_bytes(b"\x80\x02cos\nsystem\n.")
    assert run(bad, tmp_path / "out.pkl", "--to", "caffe2") == 2
    assert "would run or build os.system" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["bad.pkl"]


def test_a_link_for_the_scratch_file_is_not_written_through(blobs, tmp_path):
    folder = tmp_path / "handed over"
    folder.mkdir()
    (folder / ".unfinished-b.pyth").symlink_to(tmp_path / "victim")
    assert run(blobs, folder / "b.pyth", "--to", "slowfast") == 0
    assert not (tmp_path / "victim").exists()
    assert (folder / "b.pyth").stat().st_size


@pytest.mark.parametrize("link", ["the same", "symbolic", "hard"])
def test_the_input_is_never_overwritten(blobs, capsys, link):
    before, out = blobs.read_bytes(), blobs
    if link != "the same":
        out = blobs.with_name("b.pkl")
        (out.symlink_to if link == "symbolic" else out.hardlink_to)(blobs)
    assert run(blobs, out, "--to", "caffe2", "--overwrite") == 2
    assert "is the file to read" in capsys.readouterr().err
    assert blobs.read_bytes() == before and out.samefile(blobs)


def test_errors_name_the_given_file_instead_of_its_copy(tmp_path):
    with pytest.raises(UserError) as caught:
        with weight_errors.shown(
            "", weight_errors.of_conversion, "/tmp/x", "s3://a/b"
        ):
            raise MismatchError("/tmp/x: no.", "Call nl.create_model.")
    message = str(caught.value)
    assert message.startswith("s3://a/b: no. Other networks are converted")
    assert "create_model" not in message


def test_a_compressed_file_is_a_one_line_error(tmp_path, capsys):
    path = tmp_path / "a.tar.gz"
    path.write_bytes(gzip.compress(b"weights"))
    assert run(path, tmp_path / "b.pkl") == cli.USER_ERROR
    error = capsys.readouterr().err
    assert f"error: {path}: The file is compressed by gzip" in error
    assert error.count("\n") == 1
