"""A speech encoder's layers, computed block by block."""
