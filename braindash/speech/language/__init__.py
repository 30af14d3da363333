"""Feature spaces of the words that are said: vectors of words, layers of a model of text."""
