"""Models of tiny configurations, and runs on them."""
