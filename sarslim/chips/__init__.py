"""From SAR products to arrays: one reader per product, preprocessing, leak-free splits, the dataset artifact."""

__all__ = ["ahead", "dataset", "images", "inspect", "prepare", "simulated_folder", "speckle", "stream", "typical"]
