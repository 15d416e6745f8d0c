"""A trained model at work elsewhere: other runtimes. Knows tasks by their base alone, and never training."""
