"""Files: images of any depth, videos, tar archives, paths. Knows no data set."""
