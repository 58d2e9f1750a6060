"""Runs on this machine: started, shown, kept in their folders, and ended."""
