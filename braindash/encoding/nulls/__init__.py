"""What cannot know the responses, scored as a model is: the null panel."""
