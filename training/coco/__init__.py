"""Data in COCO format: annotations, batches, metrics and drawings."""
