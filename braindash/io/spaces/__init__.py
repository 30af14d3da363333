"""Ways from the targets of a data set to surfaces of the cortex: mappers, transforms, parcels."""
