"""Background jobs of a store: queued, watched, cancelled, resumed."""
