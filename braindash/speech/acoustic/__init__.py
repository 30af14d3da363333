"""Feature spaces made of the sound itself, or of its annotation."""
