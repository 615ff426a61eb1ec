"""Make the package's page from README; everything else is in setup.cfg.

Links of README are relative. On the package's page they lead to `url` of
setup.cfg, the address of the repository; without one they are plain text.
"""

import configparser
import pathlib
import re

import setuptools

FOLDER = pathlib.Path(__file__).parent
RELATIVE_LINK = re.compile(r"(!?)\[([^\]]*)\]\((?!\w+:|#)([^)\s]+)\)")


def package_page(readme: str, address: str) -> str:
    """Return README with absolute links.

    Args:
        readme: Markdown with links relative to the repository's root.
        address: of the repository, such as "https://host/owner/name"; "" turns
            relative links into their text, and leaves images out.
    """

    def absolute(match: re.Match) -> str:
        image, text, target = match.groups()
        if not address:
            return "" if image else text
        kind = "raw" if image else "blob"
        return f"{image}[{text}]({address.rstrip('/')}/{kind}/main/{target})"

    return RELATIVE_LINK.sub(absolute, readme)


if __name__ == "__main__":
    settings = configparser.ConfigParser()
    settings.read(FOLDER / "setup.cfg", "utf-8")
    setuptools.setup(
        long_description=package_page(
            (FOLDER / "README.md").read_text("utf-8"),
            settings["metadata"].get("url", ""),
        ),
        long_description_content_type="text/markdown",
    )
