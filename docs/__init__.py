"""Build of the documentation site: `make docs`."""
