"""Mathematics of braindash: arrays in, arrays out; no files, no speech models, no plots.

====================  ===========================================================
``core.timing``       when a response row was acquired; Lanczos resampling; delays in a story
``core.ridge``        ridge with one alpha per target, or per feature space and target
``core.scores``       Pearson r, normalised score, z-score; means over sets of targets
``core.ceilings``     noise ceilings from repeats and from other subjects
``core.statistics``   significance, intervals, preferred layers, subjects, depth
``core.probes``       linear probes of labelled units
``core.phones``       alphabets of phone labels, and how each phone is made
``core.devices``      where computations run, threads, memory that runs out
====================  ===========================================================

Nothing is imported here, so that a caller of one module pays for that module only
(the regressions import torch).
"""
