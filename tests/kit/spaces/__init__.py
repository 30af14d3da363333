"""Small files of the ways from targets to surfaces, faithful to those of public data sets."""
