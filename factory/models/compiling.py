"""Networks compiled for CUDA: each shape for itself (`dynamic=False`), so that kernels depend on no other."""

import torch

SHAPES = 64  # of batches and blocks


def allow_shapes() -> None:
    """Else torch gives up at 8 shapes of the same code, and goes on uncompiled."""
    settings = torch._dynamo.config
    settings.recompile_limit = max(SHAPES, settings.recompile_limit)
