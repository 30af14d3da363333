"""Many models, subjects and settings as one thing: the file that names them, and their tables."""
