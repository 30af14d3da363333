"""Ridge regression of many targets: one penalty per target, over layers, folds and spaces."""
