"""Local web page of `training.app`: server, uploads, clips and session."""
