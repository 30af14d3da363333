"""Maps of encoding results on the cortex, by name, and as nilearn's images."""
