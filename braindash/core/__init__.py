"""Mathematics of braindash: arrays in, arrays out; no files, no speech models, no plots.

=================  ==============================================================
``core.timing``    when a response row was acquired; Lanczos resampling to rows
``core.delays``    finite impulse response design, story by story
``core.ridge``     cross-validated ridge regression, one alpha per target
``core.scores``    Pearson r, noise ceiling, normalised score, z-score
``core.regions``   means over named sets of targets
=================  ==============================================================

Nothing is imported here, so that a caller of one module pays for that module only
(``core.ridge`` imports torch).
"""
