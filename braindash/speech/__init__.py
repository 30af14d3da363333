"""Speech models and their features: the only home of transformers.

Nothing is imported here, so that looking a model up (:mod:`braindash.speech.checkpoints.locate`)
stays free of torch.
"""
