"""Commands that train, evaluate, export and use detectors."""
