"""What `training.export` writes, and what servers are told of it."""
