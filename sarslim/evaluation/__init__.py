"""How good a network is: figures on the test part, and what an interval says about them."""

__all__ = ["measures", "shortcuts", "statistics"]
