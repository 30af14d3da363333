"""Labels of recordings in time, from every source that is read."""
