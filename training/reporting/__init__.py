"""The parts of a run's report, and drawing curves with matplotlib."""
