"""Several people and one dashboard: who asks, what they may do, and what an address exposes."""
