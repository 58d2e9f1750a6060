"""How fast sarslim is beside what does the same without it: each figure a ratio, measured in turns in one run.

    python -m benchmarks.speed [--device cuda]

Writes benchmarks/results/speed.json, or speed.cuda.json of a GPU, on which training alone is measured, and the table of
benchmarks/SPEED.md between the two marks of that device. Every peer takes turns with ours (A B A B ...) in processes of
their own, one module of this package for each kind of work; a figure is the median of the ratios of the turns, with the
least and the most. Where these lie far apart, the machine was not quiet.
Peers that sarslim does not need itself are installed beside it, into runs/peers, from benchmarks/speed/peers.lock.
"""
