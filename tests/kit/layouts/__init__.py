"""Small folders in the layouts of public data, with a planted signal."""
