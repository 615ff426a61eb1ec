"""Pictures are RGB and upright, as Pillow shows them."""

import io

import numpy as np
import pytest
import tensorflow as tf

from training.coco import images
from training.coco.annotations import Picture
from training.io import remote
from training.io.user_error import UserError

Image = pytest.importorskip("PIL.Image")
ImageOps = pytest.importorskip("PIL.ImageOps")


WEBP = pytest.mark.skipif(
    not hasattr(tf.io, "decode_webp"), reason="this TensorFlow reads no WebP"
)


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
    exif[images.ORIENTATION] = orientation
    path = saved(photo(), tmp_path / "a.jpg", exif=exif, quality=95)
    assert images.orientation(path.read_bytes()) == orientation
    with Image.open(str(path)) as image:
        expected = np.asarray(ImageOps.exif_transpose(image))
    got = images.read(path)
    assert got.shape == expected.shape
    np.testing.assert_array_equal(got, expected)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("name", ["a.png", pytest.param("a.webp", marks=WEBP)])
def test_other_kinds_are_turned_as_pillow_turns_them(
    tmp_path, name, orientation
):
    exif = Image.Exif()
    exif[images.ORIENTATION] = orientation
    options = {"lossless": True} if name == "a.webp" else {}
    path = saved(photo(), tmp_path / name, exif=exif, **options)
    with Image.open(str(path)) as image:
        expected = np.asarray(ImageOps.exif_transpose(image).convert("RGB"))
    np.testing.assert_array_equal(images.read(path), expected)


def test_exif_behind_the_pixels_of_a_png_counts():
    """As exiftool writes it."""
    content = io.BytesIO()
    exif = Image.Exif()
    exif[images.ORIENTATION] = 6
    photo().save(content, "PNG", exif=exif)
    whole = content.getvalue()
    start = whole.index(b"eXIf") - 4
    length = 12 + int.from_bytes(whole[start : start + 4], "big")
    chunk = whole[start : start + length]
    end = whole.index(b"IEND") - 4
    moved = whole[:start] + whole[start + length : end] + chunk + whole[end:]
    assert images.orientation(moved) == 6


def test_a_size_before_turning_names_the_orientation(tmp_path):
    exif = Image.Exif()
    exif[images.ORIENTATION] = 6
    path = saved(photo(), tmp_path / "a.jpg", exif=exif)
    stored, upright, other = (
        Picture(1, path, height, width, ())
        for height, width in ((24, 40), (40, 24), (25, 40))
    )
    fault = images.size_fault(stored, (40, 24))
    assert "has 24 x 40 pixels, not 40 x 24" in fault
    assert "EXIF orientation is 6" in fault
    assert "EXIF" not in images.size_fault(other, (40, 24))
    assert images.size_fault(upright, (40, 24)) == ""


def test_12_bits_in_16_are_remarked(tmp_path):
    levels = np.arange(24 * 40, dtype="uint16").reshape(24, 40)
    for scale, message in ((4, "nearly black: it has 16 bits"), (64, "")):
        path = saved(Image.fromarray(levels * scale), tmp_path / "a.png")
        remark = images.remark(path, images.read(path))
        assert message in remark and bool(message) == bool(remark)
    path = saved(Image.new("RGB", (4, 3)), tmp_path / "a.png")  # of 8 bits
    assert images.remark(path, images.read(path)) == ""


@pytest.mark.parametrize(
    ("name", "mode"),
    [("a.png", "RGB"), ("a.png", "L"), ("a.png", "RGBA"), ("a.bmp", "RGB")],
)
def test_other_kinds_are_rgb_too(tmp_path, name, mode):
    path = saved(photo(mode), tmp_path / name)
    got = images.read(path)
    expected = np.asarray(photo(mode).convert("RGB"))
    np.testing.assert_array_equal(got, expected)


def test_a_grey_jpeg_has_three_equal_channels(tmp_path):
    got = images.read(saved(photo("L"), tmp_path / "a.jpg"))
    assert got.shape == (24, 40, 3)
    assert (got == got[..., :1]).all()


def test_notes_that_are_cut_off_do_no_harm():
    content = io.BytesIO()
    exif = Image.Exif()
    exif[images.ORIENTATION] = 6
    photo().save(content, "JPEG", exif=exif)
    whole = content.getvalue()
    start = whole.index(b"Exif\0\0")
    for length in range(start, start + 30):
        assert images.orientation(whole[:length]) in range(1, 9)
    assert images.orientation(b"") == images.orientation(b"\xff\xd8\xff") == 1


def test_fill_before_a_segment_is_passed_over():
    content = io.BytesIO()
    exif = Image.Exif()
    exif[images.ORIENTATION] = 6
    photo().save(content, "JPEG", exif=exif)
    start, segments = content.getvalue()[:2], content.getvalue()[2:]
    assert images.orientation(start + b"\xff" * 3 + segments) == 6


@pytest.mark.parametrize("content", [b"", b"no picture", b"\xff\xd8\xff\xe0x"])
def test_what_is_no_picture_is_named(tmp_path, content):
    path = tmp_path / "bad.jpg"
    path.write_bytes(content)
    with pytest.raises(UserError, match=r"bad\.jpg is damaged"):
        images.read(remote.as_path(str(path)))


def test_a_picture_that_is_not_there_is_named(tmp_path):
    with pytest.raises(UserError, match="cannot be read"):
        images.read(remote.as_path(str(tmp_path / "none.jpg")))
