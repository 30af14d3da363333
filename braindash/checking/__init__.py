"""Whether a data set is right: its files, its numbers, and its times against the sound."""
