"""Mathematics of braindash: arrays in, arrays out; no files, no speech models, no plots.

====================  ===========================================================
``core.timing``       when a response row was acquired; Lanczos resampling to rows
``core.delays``       finite impulse response design, story by story
``core.ridge``        cross-validated ridge regression, one alpha per target
``core.banded``       ridge with one penalty per feature space and target
``core.residual``     features without what another space knows
``core.partition``    what each feature space explains, alone and together
``core.scores``       Pearson r, normalised score, z-score
``core.ceilings``     noise ceilings from repeats and from other subjects
``core.permutation``  significance of a score, and false discovery rate
``core.uncertainty``  intervals from blocks of test rows; preferred layers
``core.subjects``     intervals and differences over subjects
``core.phones``       alphabets of phone labels, and how each phone is made
``core.stages``       which stage of processing a model's layers reflect
``core.regions``      means over named sets of targets
====================  ===========================================================

Nothing is imported here, so that a caller of one module pays for that module only
(the regressions import torch).
"""
