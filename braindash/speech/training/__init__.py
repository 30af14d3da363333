"""Brain-tuning: a speech model learns to predict responses to stories.

``stories`` says which rows train when, ``front`` keeps what the frozen front end makes of a story,
``network`` holds the model with its heads, ``adapters`` and ``losses`` are what they say,
``probe`` starts the heads, ``team`` is the processes of a run, ``checkpoint`` keeps every epoch,
``saving`` writes the tuned model, and ``loop`` is the training itself.
"""
