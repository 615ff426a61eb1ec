"""Speed and memory beside other implementations, as ratios of one run."""
