"""The local page of `training.app`: server, uploads, films, session."""
