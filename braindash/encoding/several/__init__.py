"""Results of several subjects or models together, and what differs between two."""
