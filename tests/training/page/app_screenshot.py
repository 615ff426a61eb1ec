"""Take the screenshot of the app for README, in headless Chromium.

    python -m tests.training.page.app_screenshot --model savedmodels/digits_nl \
        --sample 0 --out training/reproduce/results/app.png
    python -m tests.training.page.app_screenshot --model savedmodels/videos \
        --clip video.mp4 --out app.png --point 3,40,60
"""

import argparse
import pathlib

from tests.training.page import browser
from tests.training.page.app_models import running

WIDTH_PX = 900
CANVASES = "return document.querySelectorAll('canvas').length"
HEIGHT = (
    "return window.outerHeight - window.innerHeight + Math.ceil("
    "document.querySelector('main').getBoundingClientRect().bottom)"
)
LOOKED = "return !document.getElementById('looks').hidden"
# As a click there, which scripts cannot make exactly.
ASK = "query = arguments[0]; return askAttention().then(() => true)"
CLIP = (
    "document.getElementById('clip').value = arguments[0]; "
    "return showClip().then(() => true)"
)


def main() -> None:
    """Open the app with a clip or sample and take a screenshot."""
    options = _parse()
    path = pathlib.Path(options.model)
    with running(path, 200) as server, browser.Browser(WIDTH_PX) as page:
        page.open(server.url)
        page.wait("return document.getElementById('model').innerText")
        if options.clip:
            page.type("#file", str(pathlib.Path(options.clip).resolve()))
        else:
            page.click(f"#samples button:nth-child({options.sample + 1})")
        page.wait(CANVASES, seconds=600)
        if options.at_clip is not None:
            page.run(CLIP, options.at_clip)
        if options.point:
            page.run(ASK, [int(part) for part in options.point.split(",")])
        if options.point or not options.clip:
            page.wait(LOOKED)
        page.run("document.activeElement.blur()")
        page.resize(WIDTH_PX, page.run(HEIGHT) + 14)
        out = pathlib.Path(options.out)
        out.write_bytes(page.screenshot())
        print(f"{out}: {out.stat().st_size} bytes")
        for error in page.errors():
            print(error)


def _parse():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", required=True)
    parser.add_argument("--clip", help="a video, .npy or .gif")
    parser.add_argument("--sample", type=int, default=0)
    parser.add_argument("--at-clip", type=int, help="number in the timeline")
    parser.add_argument("--point", help="FRAME,Y,X in pixels")
    parser.add_argument("--out", required=True)
    return parser.parse_args()


if __name__ == "__main__":
    main()
