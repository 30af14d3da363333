"""Files that leave: figures, their data, maps and derivative folders, each with its source."""
