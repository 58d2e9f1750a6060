"""sarslim: compress a SAR recognition network, and prove what it lost."""

__version__ = "0.1.0"
