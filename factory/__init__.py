"""A data factory for image matting: prompts in, verified (picture, alpha, foreground) shards out."""

__version__ = "0.1.0"
