"""Import `training` under the name that it is installed with."""

import contextlib
import importlib.abc
import importlib.util
import sys
from collections.abc import Iterator

import training

NAME = "nonlocal_tf.training"


class InstalledName(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Finds the modules of `training` below `nonlocal_tf`, as the same objects.

    An editable install would import second copies of them, from the clone that
    it was made of.
    """

    def find_spec(self, fullname, path=None, target=None):
        if fullname == NAME or fullname.startswith(f"{NAME}."):
            return importlib.util.spec_from_loader(fullname, self)
        return None

    def create_module(self, spec):
        name = training.__name__ + spec.name.removeprefix(NAME)
        module = importlib.import_module(name)
        self._spec = module.__spec__
        return module

    def exec_module(self, module):
        module.__spec__ = self._spec  # import has replaced it


@contextlib.contextmanager
def installed_name() -> Iterator[None]:
    """Let `nonlocal_tf.training` be `training` for a while."""
    before = {name: sys.modules.pop(name) for name in _imported()}
    finder = InstalledName()
    sys.meta_path.insert(0, finder)
    try:
        yield
    finally:
        sys.meta_path.remove(finder)
        for name in _imported():
            del sys.modules[name]
        sys.modules.update(before)


def _imported() -> list[str]:
    return [n for n in sys.modules if n == NAME or n.startswith(f"{NAME}.")]
