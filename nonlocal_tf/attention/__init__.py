"""Attention maps of non-local blocks, their pixels, and plots of them."""
