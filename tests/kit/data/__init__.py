"""Files as laboratories have them, generated: sound, words, responses, regions."""
