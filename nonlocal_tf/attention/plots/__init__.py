"""Plots of attention maps: Pillow and matplotlib's fonts (extra `viz`)."""
