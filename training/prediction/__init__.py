"""Predict the classes of video files, for the command `training.predict`."""
