"""Train, evaluate, predict with and export networks for video and images."""

from .start import prepare

prepare()
