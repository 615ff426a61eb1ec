"""Scores of the videos that a user names, for `training.predict`."""
