"""Files of neuroimaging that hold responses over time: GIFTI, CIFTI-2 and NIfTI."""
