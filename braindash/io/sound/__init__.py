"""How the files of sound are built: what a header says, and what is there."""
