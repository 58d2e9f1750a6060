"""HTML pages, each one file that needs nothing else: no script, no request, light, dark and print."""
