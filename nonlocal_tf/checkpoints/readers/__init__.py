"""Readers of checkpoint files that run no code of the file."""
