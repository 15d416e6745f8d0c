"""What is measured over a data set, one file a task."""
