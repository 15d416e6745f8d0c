"""Images and clips with classes, and what is special to clips."""
