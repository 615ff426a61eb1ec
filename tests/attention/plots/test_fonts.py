import pathlib

import numpy as np
import pytest

from nonlocal_tf.attention.plots import fonts

Image = pytest.importorskip("PIL.Image")
matplotlib = pytest.importorskip("matplotlib")
SIZE_PX = 21


def drawn(text):
    picture = Image.new("L", (190, 40))
    draw = fonts.pillow()[1].Draw(picture)
    fonts.write(draw, (3, 3), text, SIZE_PX, 255)
    return np.asarray(picture)


def missing_glyph():
    """The box that the font has for a letter that it lacks."""
    picture = Image.new("L", (190, 40))
    font = fonts._font(fonts.dejavu(), SIZE_PX)
    fonts.pillow()[1].Draw(picture).text((3, 3), "\u56fe", 255, font=font)
    return np.asarray(picture)


@pytest.mark.parametrize("letter", ["ü", "ß", "Ж", "ő", "Ω", "م"])
def test_letters_of_other_scripts_are_drawn(letter):
    picture = drawn(letter)
    assert picture.any()
    assert (picture != missing_glyph()).any()
    for spelt in ("u", "?", fonts.plain(letter)):
        assert (picture != drawn(spelt)).any()


def test_a_letter_and_its_accent_are_drawn_as_one():
    np.testing.assert_array_equal(drawn("u\u0308ber"), drawn("\u00fcber"))


def test_letters_that_no_font_has_are_written_as_code_points(monkeypatch):
    monkeypatch.setattr(fonts, "system_fonts", lambda: ())
    np.testing.assert_array_equal(drawn("a \u56fe"), drawn("a U+56FE"))
    np.testing.assert_array_equal(drawn("\ud800x"), drawn("U+D800x"))


def test_a_font_of_the_system_is_taken_that_has_all_letters(monkeypatch):
    folder = pathlib.Path(matplotlib.get_data_path(), "fonts/ttf")
    of_mathematics = folder / "STIXGeneral.ttf"
    letter = next(
        chr(point)
        for point in sorted(fonts._code_points(str(of_mathematics)))
        if point not in fonts._code_points(fonts.dejavu())
    )
    paths = (str(folder / "cmr10.ttf"), str(of_mathematics))
    monkeypatch.setattr(fonts, "system_fonts", lambda: paths)
    chosen = fonts.typeset(f"a new {letter}")
    assert chosen == (str(of_mathematics), f"a new {letter}")


def test_a_font_file_that_cannot_be_read_is_passed_over(tmp_path):
    path = tmp_path / "broken.ttf"
    path.write_bytes(b"no font")
    assert fonts._code_points(str(path)) == frozenset()


def test_without_matplotlib_text_is_ascii(monkeypatch):
    monkeypatch.setattr(fonts, "dejavu", lambda: None)
    np.testing.assert_array_equal(drawn("Täter 日"), drawn("Tater U+65E5"))


def test_line_breaks_and_tabs_are_spaces():
    np.testing.assert_array_equal(drawn("a\nb\tc"), drawn("a b c"))


@pytest.mark.parametrize("room", [30, 57, 110])
@pytest.mark.parametrize("name", ["Übergrößenträgerin", "日本語日本語日本語"])
def test_long_text_is_shortened_with_an_ellipsis(name, room):
    short = fonts.shortened(name, room, SIZE_PX)
    assert fonts.text_width(short, SIZE_PX) <= room
    assert short.endswith("…") and name.startswith(short[:-1])


def test_text_that_fits_is_kept_and_without_room_there_is_none():
    width = fonts.text_width("walk", SIZE_PX)
    assert fonts.shortened("walk", width, SIZE_PX) == "walk"
    assert fonts.shortened("walk", 3, SIZE_PX) == ""
