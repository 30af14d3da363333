"""What layers hold, from their features alone: how alike they are, and of how many dimensions."""
