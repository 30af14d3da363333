"""The page Studies: which study, what of it is stored, its figures."""
