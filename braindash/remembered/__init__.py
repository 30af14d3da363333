"""What was found out about a user's large files, kept from one command to the next."""
