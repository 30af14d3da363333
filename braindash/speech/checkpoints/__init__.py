"""Models on disk: found, read, told apart, loaded, taken over and copied."""
