"""One module per stage: the whole experiment, a page each. Only these rooms introduce the library's parts."""
