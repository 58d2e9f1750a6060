"""From a network to a bundle at work: ONNX export, a session, predictions, published versions and aliases."""

__all__ = ["export", "registry", "runtime", "session"]
