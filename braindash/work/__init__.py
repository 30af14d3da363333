"""What can be run: the kinds of analysis as one table, what they need, and their worker."""
