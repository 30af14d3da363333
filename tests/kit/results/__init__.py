"""Results and stores that nobody computed, and what is drawn of them."""
