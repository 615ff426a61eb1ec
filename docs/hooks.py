"""Add the documents of the repository and the reference to the site.

Documents link to each other as files of the repository, so that the links work
there too; here they become links between pages. Other linked files are copied.
"""

import json
import pathlib
import posixpath
import re
import sys

from mkdocs.structure.files import File

ROOT = pathlib.Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from training import start  # noqa: E402

start.prepare()  # without the notes of TensorFlow

from docs import reference  # noqa: E402

GUIDE = "docs/pages/"
# Pages of the site, by their place in the repository.
DOCUMENTS = {
    "README.md": "index.md",
    "CONTRIBUTING.md": "contributing.md",
    "CHANGELOG.md": "changelog.md",
    "MODEL_ZOO.md": "model_zoo.md",
    "savedmodels/README.md": "savedmodels.md",
    "savedmodels/clients/README.md": "clients.md",
    "training/benchmarks/README.md": "benchmarks.md",
    "training/launch/README.md": "clusters.md",
    "notebooks/quickstart.ipynb": "notebooks/quickstart.md",
    "notebooks/attention.ipynb": "notebooks/attention.md",
}
EXAMPLES = sorted((ROOT / "examples").glob("*.py"))
LINK = re.compile(r"\]\((?!\w+:|#)([^)\s#]+)(#[^)\s]*)?\)")
FENCE = re.compile(r"^```.*?^```", re.M | re.S)


def on_files(files, config):
    """Add generated pages, documents outside of the guide, and linked files."""
    for uri, generate in reference.PAGES.items():
        files.append(File.generated(config, uri, content=generate()))
    files.append(File.generated(config, "examples.md", content=_examples()))
    for source, uri in DOCUMENTS.items():
        files.append(File.generated(config, uri, content=_read(source)))
    for file in list(files.documentation_pages()):
        for target in _targets(file.content_string, _source(file.src_uri)):
            if (ROOT / target).is_file() and not files.get_file_from_path(
                _page(target)
            ):
                path = str(ROOT / target)
                files.append(
                    File.generated(config, _page(target), abs_src_path=path)
                )
    return files


def on_page_markdown(markdown, page, config, files):
    """Turn links between documents into links between pages."""
    uri = page.file.src_uri
    folder = posixpath.dirname(uri)

    def site_link(match):
        target = _page(_resolve(match[1], _source(uri)))
        return f"]({posixpath.relpath(target, folder or '.')}{match[2] or ''})"

    pieces = FENCE.split(markdown)
    fences = [*FENCE.findall(markdown), ""]
    return "".join(
        LINK.sub(site_link, piece) + fence
        for piece, fence in zip(pieces, fences, strict=True)
    )


def _read(source: str) -> str:
    """Return a document as Markdown."""
    text = (ROOT / source).read_text("utf-8")
    if not source.endswith(".ipynb"):
        return text
    return "\n\n".join(map(_cell, json.loads(text)["cells"]))


def _examples() -> str:
    """Return the page of the examples: what they do, and their code."""
    parts = ["# Examples"]
    for path in EXAMPLES:
        text = path.read_text("utf-8")
        parts.append(f"## {path.name}\n\n```python\n{text}```")
    return "\n\n".join(parts)


def _cell(cell: dict) -> str:
    """Format a cell of a notebook, with its outputs."""
    text = "".join(cell["source"])
    if cell["cell_type"] != "code":
        return text
    parts = [f"```python\n{text}\n```"]
    for output in cell["outputs"]:
        data = output.get("data", {})
        if "image/png" in data:
            image = "".join(data["image/png"].split())
            parts.append(f"![output](data:image/png;base64,{image})")
        else:
            lines = output.get("text") or data.get("text/plain", [])
            parts.append(f"```text\n{''.join(lines)}\n```")
    return "\n\n".join(parts)


def _targets(text: str, source: str) -> list[str]:
    """List the files that a document links to, from the root."""
    return [
        _resolve(match[1], source)
        for match in LINK.finditer(FENCE.sub("", text))
    ]


def _resolve(link: str, source: str) -> str:
    """Return the path of a link's target, from the root."""
    return posixpath.normpath(posixpath.join(posixpath.dirname(source), link))


def _source(uri: str) -> str:
    """Return the place of a page in the repository."""
    places = {page: source for source, page in DOCUMENTS.items()}
    return places.get(uri, GUIDE + uri)


def _page(path: str) -> str:
    """Return the place of a file of the repository in the site."""
    if ROOT / path in EXAMPLES:
        return "examples.md"
    if path.startswith(GUIDE):
        return path.removeprefix(GUIDE)
    return DOCUMENTS.get(path, f"files/{path}")
