"""The console command ``sarslim``, a file per group of commands."""
