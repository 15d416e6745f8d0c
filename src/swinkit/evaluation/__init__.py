"""Metrics of a model on a data set. How a metric is computed is in metrics."""
