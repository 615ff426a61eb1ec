"""Paths and URLs, atomic writes, locks, tables and command lines."""
