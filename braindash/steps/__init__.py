"""The steps of a run between extraction and the stored result."""
