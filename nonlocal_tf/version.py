"""Version of the package; setup.cfg reads it without an import."""

__version__ = "0.1.0"
