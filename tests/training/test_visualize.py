import numpy as np
import pytest

from training import visualize
from training.io import cli

Image = pytest.importorskip("PIL.Image")


def test_a_png_strip_is_written_and_described(tiny, tmp_path, capsys):
    out = tmp_path / "new" / "attention.png"
    visualize.main([f"--workdir={tiny[0]}", "--sample=1", f"--out={out}"])
    printed = capsys.readouterr().out
    assert "stage2_nonlocal" in printed and str(out) in printed
    with Image.open(out) as image:
        assert image.format == "PNG"
        assert image.width > 5 * image.height  # eight frames in a row


def test_queries_of_a_clip_file_are_rows(tiny, tmp_path, capsys):
    clip = tmp_path / "clip.npy"
    np.save(clip, np.zeros((8, 32, 32, 3), "uint8"))
    shared = [f"--workdir={tiny[0]}", str(clip), f"--out={tmp_path / 'a.png'}"]
    visualize.main([*shared, "--query=7,31,0", "--query=2,8,15"])
    printed = capsys.readouterr().out
    assert "query (7, 7, 0)" in printed and "query (2, 1, 3)" in printed
    with Image.open(tmp_path / "a.png") as two_rows:
        width, height = two_rows.size
    visualize.main([*shared, "--query=7,31,0"])
    with Image.open(tmp_path / "a.png") as one_row:
        assert (one_row.width, 2 * one_row.height) == (width, height)


def test_the_default_query_has_the_most_concentrated_attention(
    tiny, tmp_path, capsys
):
    clip = tmp_path / "clip.npy"
    rng = np.random.default_rng(0)
    np.save(clip, rng.integers(0, 256, (8, 32, 32, 3), np.uint8))
    shared = [f"--workdir={tiny[0]}", str(clip), f"--out={tmp_path / 'a.png'}"]
    visualize.main(shared)
    printed = capsys.readouterr().out
    assert "(the most concentrated) attends to" in printed
    visualize.main([*shared, "--query=strongest"])
    assert capsys.readouterr().out == printed


@pytest.mark.parametrize("style", ["heat", "arrows"])
def test_videos_are_written(tiny, tmp_path, style):
    gif, mp4 = tmp_path / "a.gif", tmp_path / "a.MP4"
    shared = [f"--workdir={tiny[0]}", "--sample=1", f"--style={style}"]
    visualize.main([*shared, f"--out={gif}"])
    with Image.open(gif) as film:
        assert (film.format, film.n_frames) == ("GIF", 8)
        assert film.info["duration"] == 500
    av = pytest.importorskip("av")
    visualize.main([*shared, f"--out={mp4}"])
    with av.open(str(mp4)) as film:
        assert len(list(film.decode(video=0))) == 8


def test_the_number_of_printed_rows_is_that_of_arrows(tiny, tmp_path, capsys):
    out = f"--out={tmp_path / 'a.png'}"
    for count, option in ((20, []), (3, ["--arrows=3"]), (0, ["--arrows=0"])):
        visualize.main([f"--workdir={tiny[0]}", "--sample=1", out, *option])
        rows = capsys.readouterr().out.split("weight\n")[1].splitlines()
        assert len(rows) == count + 1  # and the path of the image


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--block=stage2_nonlocl"], "Did you mean 'stage2_nonlocal'"),
        (["--query=8,0,0"], "inside a clip of size (8, 32, 32)"),
        (["--query=0,3"], "Expected --query FRAME,Y,X"),
        (["--model=y"], "Give --workdir DIR"),
        (["--split=tset"], "Did you mean 'test'"),
        (["--arrows=-1"], "Expected --arrows from 0"),
        (["--out=a.jpg"], "Expected --out to end in .png, .gif or .mp4"),
        (["--at=1"], "--at goes with a video file"),
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


def test_an_invalid_query_is_an_error(capsys):
    with pytest.raises(SystemExit):
        visualize.main(["--workdir=x", "--sample=0", "--query=1,b"])
    assert "expected FRAME,Y,X" in capsys.readouterr().err


@pytest.mark.parametrize("text", ["-1", "nan", "inf", "soon"])
def test_an_invalid_time_is_an_error(capsys, text):
    with pytest.raises(SystemExit):
        visualize.main(["a.mp4", "--workdir=x", f"--at={text}"])
    assert "expected seconds from 0" in capsys.readouterr().err


def test_a_time_in_a_clip_file_is_an_error(tiny, tmp_path, capsys):
    arguments = [f"--workdir={tiny[0]}", "a.npy", "--at=1"]
    assert cli.run(visualize.main, arguments) == 2
    assert "--at is for videos" in capsys.readouterr().err


def test_a_network_without_a_block_is_an_error(tiny, capsys, tmp_path):
    code = cli.run(
        visualize.main,
        [f"--workdir={tiny[0] / 'image_stage'}", "--sample=0", "--query=0,1,2"],
    )
    assert code == 2
    assert "has no non-local block" in capsys.readouterr().err


def test_files_of_the_user_are_not_overwritten(tiny, tmp_path, capsys):
    out = tmp_path / "a.gif"
    out.write_bytes(b"theirs")
    arguments = [f"--workdir={tiny[0]}", "--sample=1", f"--out={out}"]
    assert cli.run(visualize.main, arguments) == 2
    assert "a.gif exists" in capsys.readouterr().err
    assert out.read_bytes() == b"theirs"
