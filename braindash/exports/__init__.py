"""Results in, files out: figures, data, maps, derivative folders, reports; each with its source."""
