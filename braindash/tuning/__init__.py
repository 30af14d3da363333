"""Brain-tuning: a model is trained to predict responses of the brain."""
