import numpy as np
import pytest

from training import cli, visualize

Image = pytest.importorskip("PIL.Image")


def test_it_writes_a_png_strip_and_says_what_it_shows(tiny, tmp_path, capsys):
    out = tmp_path / "new" / "looks.png"
    visualize.main([f"--workdir={tiny[0]}", "--sample=1", f"--out={out}"])
    printed = capsys.readouterr().out
    assert "stage2_nonlocal" in printed and str(out) in printed
    with Image.open(out) as picture:
        assert picture.format == "PNG"
        assert picture.width > 5 * picture.height  # eight frames in a row


def test_a_clip_file_needs_a_query(tiny, tmp_path, capsys):
    clip = tmp_path / "clip.npy"
    np.save(clip, np.zeros((8, 32, 32, 3), "uint8"))
    shared = [f"--workdir={tiny[0]}", str(clip), f"--out={tmp_path / 'a.png'}"]
    assert cli.run(visualize.main, shared) == 2
    assert "--query FRAME,Y,X" in capsys.readouterr().err
    visualize.main([*shared, "--query=7,31,0"])
    assert "cell (7, 7, 0)" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--block=stage2_nonlocl"], "Did you mean 'stage2_nonlocal'"),
        (["--query=8,0,0"], "inside a clip of size (8, 32, 32)"),
        (["--split=tset"], "Did you mean 'test'"),
        (["--arrows=-1"], "Expected --arrows from 0"),
        (["--out=a.jpg"], "Expected --out to end in .png"),
        (["clip.npy"], "Give either a clip file or --sample"),
    ],
)
def test_errors_are_one_line(tiny, arguments, message, tmp_path, capsys):
    out = tmp_path / "a.png"
    code = cli.run(
        visualize.main,
        [f"--workdir={tiny[0]}", "--sample=0", f"--out={out}", *arguments],
    )
    error = capsys.readouterr().err
    assert code == 2 and message in error and error.count("\n") == 1
    assert not out.exists()


def test_a_query_that_is_no_point_says_what_is(capsys):
    with pytest.raises(SystemExit):
        visualize.main(["--workdir=x", "--sample=0", "--query=1,b"])
    assert "expected FRAME,Y,X" in capsys.readouterr().err


def test_a_network_without_a_block_says_so(tiny, capsys, tmp_path):
    code = cli.run(
        visualize.main,
        [f"--workdir={tiny[0] / 'image_stage'}", "--sample=0", "--query=0,1,2"],
    )
    assert code == 2
    assert "has no non-local block" in capsys.readouterr().err
