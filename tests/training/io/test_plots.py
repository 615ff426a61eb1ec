import sys

import pytest

from nonlocal_tf.attention.plots import fonts
from training.io import plots
from training.io.user_error import UserError

matplotlib = pytest.importorskip("matplotlib")


def drawn():
    figure = plots.figure(90, 50)
    with plots.style():
        axes = figure.add_axes((0.2, 0.2, 0.7, 0.7))
        axes.plot([1, 2, 4])
    return plots.png(figure)


def test_a_figure_is_the_same_whatever_the_settings_of_the_user():
    content = drawn()
    with matplotlib.rc_context({"savefig.dpi": 30, "font.size": 20}):
        assert drawn() == content
    assert matplotlib.__version__.encode() not in content


def test_the_size_is_that_of_sharp_screens():
    width, height = (
        int.from_bytes(drawn()[start : start + 4]) for start in (16, 20)
    )
    assert (width, height) == (90 * plots.SCALE, 50 * plots.SCALE)


def test_settings_of_the_user_come_back():
    before = dict(matplotlib.rcParams)
    with plots.style():
        assert matplotlib.rcParams["text.parse_math"] is False
    assert dict(matplotlib.rcParams) == before


def test_pyplot_is_left_alone(monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.pyplot", None)
    assert drawn()


@pytest.mark.parametrize(
    ("text", "letters"),
    [
        ("täglich Бег مرحبا", "täglich Бег مرحبا"),
        ("_a $b^2$", "_a $b^2$"),
        ("a\nb", "a b"),
        ("a \u56fe", "a U+56FE"),
    ],
)
def test_text_of_any_script_is_set(text, letters, monkeypatch):
    monkeypatch.setattr(fonts, "system_fonts", lambda: ())
    fonts.typeset.cache_clear()
    figure = plots.figure(200, 50)
    with plots.style():
        artist = figure.text(0.1, 0.2, "", fontsize=13)
    plots.set_text(artist, text)
    fonts.typeset.cache_clear()
    assert artist.get_text() == letters and artist.get_fontsize() == 13
    assert plots.png(figure)  # a missing glyph would be a warning


@pytest.mark.parametrize(
    ("package", "require"),
    [("matplotlib", plots.require), ("PIL", plots.require_pillow)],
)
def test_a_missing_package_names_the_extra(package, require, monkeypatch):
    require()
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(UserError, match=r"\[viz\]"):
        require()


def test_a_font_of_the_system_sets_what_dejavu_lacks(monkeypatch):
    path = f"{matplotlib.get_data_path()}/fonts/ttf/STIXGeneral.ttf"
    monkeypatch.setattr(plots.fonts, "typeset", lambda text: (path, text))
    figure = plots.figure(200, 50)
    artist = figure.text(0.1, 0.2, "")
    plots.set_text(artist, "\u1d81")  # DejaVu lacks it
    assert artist.get_fontproperties().get_file() == path
    assert plots.png(figure)
