"""Linear probes: what a layer's features tell of labelled units."""
