"""Who looks at a page, what they may do there, and how they sign in."""
