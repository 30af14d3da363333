"""A story in time: series of maps for the viewer, courses of vertices and regions, the sound."""
