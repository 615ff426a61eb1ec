"""Figures of matplotlib (extra `viz`): the same bytes for the same data.

Sizes are in pixels of a picture as it is shown, which are points to matplotlib;
the file has SCALE times as many for screens that show them. Figures are objects
of their own: nothing touches the global state of pyplot.
"""

import contextlib
import io
from collections.abc import Iterator

from nonlocal_tf.attention.plots import fonts

from .user_error import missing_extra

SCALE = 2
POINTS_PER_INCH = 72
FONT_PX, TITLE_PX = 14, 17
STYLE = {
    "font.size": FONT_PX,
    "axes.titlesize": TITLE_PX,
    "axes.titlelocation": "left",
    "axes.axisbelow": True,
    "grid.color": "#dedede",
    "legend.frameon": False,
    "legend.title_fontsize": TITLE_PX,
    "text.parse_math": False,  # a $ in the name of a class is a letter
}


@contextlib.contextmanager
def style() -> Iterator[None]:
    """Draw in STYLE, whatever the user's matplotlibrc says.

    Raises:
        UserError: matplotlib is not installed.
    """
    with _matplotlib().style.context(["default", STYLE]):
        yield


def figure(width_px: float, height_px: float, **options):
    """Create a `matplotlib.figure.Figure`.

    Args:
        width_px: of the picture as it is shown.
        height_px: likewise.
        **options: of `Figure`.
    """
    size = width_px / POINTS_PER_INCH, height_px / POINTS_PER_INCH
    return _matplotlib().figure.Figure(
        size, dpi=SCALE * POINTS_PER_INCH, **options
    )


@style()
def png(figure, **options) -> bytes:
    """Render a figure as a PNG file.

    Args:
        figure: from `figure`.
        **options: of `Figure.savefig`.
    """
    content = io.BytesIO()
    # Else the version of matplotlib would be in the file.
    metadata = {"Software": None}
    figure.savefig(content, format="png", metadata=metadata, **options)
    return content.getvalue()


def set_text(artist, text: str) -> None:
    """Set a text in any script, in a font that has its letters.

    Args:
        artist: a `matplotlib.text.Text`, which keeps the size of its font.
        text: a line; letters that no font has are written as code points.
    """
    path, letters = fonts.typeset(text)
    font = _matplotlib().font_manager.FontProperties(
        fname=path, size=artist.get_fontsize()
    )
    artist.set(text=letters, fontproperties=font)


def require() -> None:
    """Raise a UserError unless matplotlib is installed."""
    _matplotlib()


def require_pillow() -> None:
    """Raise a UserError unless Pillow is installed, which draws on frames."""
    try:
        fonts.pillow()
    except ImportError as error:
        raise missing_extra("pillow", "viz") from error


def _matplotlib():
    try:
        import matplotlib.figure
        import matplotlib.font_manager
        import matplotlib.style
    except ImportError as error:
        raise missing_extra("matplotlib", "viz") from error
    return matplotlib
