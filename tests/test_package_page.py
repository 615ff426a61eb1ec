"""The page of the package, made from README by setup.py."""

import importlib.util
import pathlib
import re

import pytest

ROOT = pathlib.Path(__file__).parents[1]
ADDRESS = "https://example.org/a/b"


@pytest.fixture(scope="module")
def package_page():
    spec = importlib.util.spec_from_file_location("setup", ROOT / "setup.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.package_page


def test_links_lead_to_the_address(package_page):
    page = package_page("[a](b/c.md#d) ![e](f.png)", f"{ADDRESS}/")
    assert page == (
        f"[a]({ADDRESS}/blob/main/b/c.md#d) ![e]({ADDRESS}/raw/main/f.png)"
    )


def test_without_an_address_links_are_text(package_page):
    page = package_page("![e](f.png)[a](b.md) [c](https://d.org)", "")
    assert page == "a [c](https://d.org)"


@pytest.mark.parametrize("address", ["", ADDRESS])
def test_no_link_of_readme_stays_relative(package_page, address):
    page = package_page((ROOT / "README.md").read_text("utf-8"), address)
    links = re.findall(r"\]\(([^)]*)\)", page)
    assert links and all(link.startswith("https://") for link in links)
