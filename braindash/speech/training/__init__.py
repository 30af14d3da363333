"""Brain-tuning: a speech model learns to predict responses to stories.

``stories`` says which rows train when, ``front`` keeps what the frozen front end makes of a story,
``network`` holds the model, ``heads`` what predicts from it and how that starts, ``adapters`` and
``losses`` are what they say, ``stimulus`` is the control that learns from the sound alone, ``team``
is the processes of a run, ``epochs`` keeps every epoch, ``evaluation`` scores it, ``saving`` writes
the tuned model, ``loop`` is the training itself, and ``run`` puts them together.
"""
