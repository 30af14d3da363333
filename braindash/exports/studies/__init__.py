"""Studies as files: figures with their numbers, one HTML page, a folder that can be shared."""
