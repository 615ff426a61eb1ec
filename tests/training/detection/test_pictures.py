"""Pictures are RGB and upright, as Pillow shows them."""

import io

import numpy as np
import pytest

from training import remote
from training.detection import pictures
from training.errors import UserError

Image = pytest.importorskip("PIL.Image")
ImageOps = pytest.importorskip("PIL.ImageOps")


def photo(mode="RGB"):
    pixels = np.zeros((24, 40, 3), "uint8")
    pixels[:, :20] = (200, 30, 60)
    pixels[:12, 20:] = (20, 180, 90)
    return Image.fromarray(pixels).convert(mode)


def saved(image, path, **options):
    image.save(path, **options)
    return remote.as_path(str(path))


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_photo_is_turned_as_pillow_turns_it(tmp_path, orientation):
    exif = Image.Exif()
    exif[pictures.ORIENTATION] = orientation
    path = saved(photo(), tmp_path / "a.jpg", exif=exif, quality=95)
    assert pictures.orientation(path.read_bytes()) == orientation
    with Image.open(str(path)) as image:
        expected = np.asarray(ImageOps.exif_transpose(image))
    got = pictures.read(path)
    assert got.shape == expected.shape
    # Two decoders of JPEG round differently; colours are 90 and more apart.
    assert np.abs(got.astype(int) - expected).max() <= 16


@pytest.mark.parametrize(
    ("name", "mode"),
    [("a.png", "RGB"), ("a.png", "L"), ("a.png", "RGBA"), ("a.bmp", "RGB")],
)
def test_other_kinds_are_rgb_too(tmp_path, name, mode):
    path = saved(photo(mode), tmp_path / name)
    got = pictures.read(path)
    expected = np.asarray(photo(mode).convert("RGB"))
    np.testing.assert_array_equal(got, expected)


def test_a_grey_jpeg_has_three_equal_channels(tmp_path):
    got = pictures.read(saved(photo("L"), tmp_path / "a.jpg"))
    assert got.shape == (24, 40, 3)
    assert (got == got[..., :1]).all()


def test_notes_that_are_cut_off_do_no_harm():
    content = io.BytesIO()
    exif = Image.Exif()
    exif[pictures.ORIENTATION] = 6
    photo().save(content, "JPEG", exif=exif)
    whole = content.getvalue()
    start = whole.index(b"Exif\0\0")
    for length in range(start, start + 30):
        assert pictures.orientation(whole[:length]) in range(1, 9)
    assert (
        pictures.orientation(b"") == pictures.orientation(b"\xff\xd8\xff") == 1
    )


def test_fill_before_a_segment_is_passed_over():
    content = io.BytesIO()
    exif = Image.Exif()
    exif[pictures.ORIENTATION] = 6
    photo().save(content, "JPEG", exif=exif)
    start, segments = content.getvalue()[:2], content.getvalue()[2:]
    assert pictures.orientation(start + b"\xff" * 3 + segments) == 6


@pytest.mark.parametrize("content", [b"", b"no picture", b"\xff\xd8\xff\xe0x"])
def test_what_is_no_picture_is_named(tmp_path, content):
    path = tmp_path / "bad.jpg"
    path.write_bytes(content)
    with pytest.raises(UserError, match=r"bad\.jpg is damaged"):
        pictures.read(remote.as_path(str(path)))


def test_a_picture_that_is_not_there_is_named(tmp_path):
    with pytest.raises(UserError, match="cannot be read"):
        pictures.read(remote.as_path(str(tmp_path / "none.jpg")))
