"""Type aliases for annotations."""

import mmap
from typing import Any, TypeAlias

# A tensor of any Keras backend, eager or symbolic, or a NumPy array. Keras has
# no common type of them; docstrings have shapes and dtypes.
Tensor: TypeAlias = Any
# Axis sizes: integers, or None or a tensor where a graph does not know them.
# Any stands for those, as most code needs known sizes and checks them first.
Shape: TypeAlias = tuple[int | Any, ...]
# `PIL.Image.Image` and `PIL.ImageDraw.ImageDraw`; Pillow is optional.
PILImage: TypeAlias = Any
PILDraw: TypeAlias = Any
# Content of a file: read as a whole, or mapped to memory.
FileContent: TypeAlias = bytes | mmap.mmap
