"""The layout in CONTRIBUTING.md is that of the tree."""

import re

from tests.documentation.snippets import ROOT

# Folders at the start of a line of the layout, at the top or in one of these.
LINE = re.compile(r" {4}( {4})?((?:\w+/ )+)")


def folders_of_the_layout() -> set[str]:
    """List the folders, with "/" between them."""
    text = (ROOT / "CONTRIBUTING.md").read_text("utf-8")
    _, _, section = text.partition("\n## Layout\n")
    listed, top = set(), ""
    for line in section.partition("\n## ")[0].splitlines():
        if match := LINE.match(line):
            names = match[2].replace("/", "").split()
            if match[1] is None:
                (top,) = names
            listed |= {f"{top}/{name}" if match[1] else name for name in names}
    return listed


def test_every_folder_of_the_layout_exists():
    missing = [f for f in folders_of_the_layout() if not (ROOT / f).is_dir()]
    assert not missing


def test_every_package_is_in_the_layout():
    packages = {
        path.parent.relative_to(ROOT).as_posix()
        for top in ("nonlocal_tf", "training")
        for path in (ROOT / top).glob("*/__init__.py")
    }
    assert packages
    assert packages <= folders_of_the_layout()
