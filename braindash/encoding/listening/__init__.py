"""What is needed to listen to a result: when its rows were heard, the sound and the words."""
