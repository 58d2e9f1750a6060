"""From SAR products to arrays: one reader per product, preprocessing, leak-free splits, the dataset artifact."""

__all__ = ["dataset", "inspect", "prepare", "speckle", "stream"]
