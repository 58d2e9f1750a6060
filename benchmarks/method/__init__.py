"""Recovery methods, pruning paths and lightweight rivals against each other: a grid, cell by cell, and its tables.

    python -m benchmarks.method run --data MSTAR   # every section of the plan; cells that are done are not run again
    python -m benchmarks.method costs              # parameters, MACs and latency of every network, in one go
    python -m benchmarks.method table              # METHOD_RESULTS.md and its figures from the lines of results
    python -m benchmarks.method teachers           # the recipe of a teacher of ships with one thing changed
    python -m benchmarks.method folds              # the same on training chips alone, scenes held out

A cell is (data, share of the labels, generation of the teacher, budget, pruning path, recovery method, learning rate,
seed). What cells share (data set, teacher, its answers, pruned network) is made once and kept in the work folder. Every
method has the steps and the augmentation of every other, and nothing is chosen on test data.
"""
