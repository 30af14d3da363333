"""The commands that work is handed to other machines with."""
