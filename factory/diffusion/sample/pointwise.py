"""Linear layers as 1×1 convolutions: the same function from a faster library on CPUs.

PyTorch sends a float32 `linear` on a CPU to MKL, which keeps to AVX2 on AMD, and a convolution to oneDNN, which uses
AVX-512 wherever there is any. Over a third of a U-Net's time is linear layers.
"""

from math import isqrt

from torch import Tensor, nn


class PointwiseLinear(nn.Linear):
    """y = xWᵀ + b as a 1×1 convolution; the tokens of a sample are its pixels."""

    def forward(self, x: Tensor) -> Tensor:
        """(..., in_features) -> (..., out_features)."""
        batch, length = (x.shape[0], x.shape[1:-1].numel()) if x.dim() > 1 else (1, 1)
        side = isqrt(length)
        height, width = (side, side) if side * side == length else (length, 1)  # square: twice as fast backwards
        pixels = x.reshape(batch, height, width, self.in_features).permute(0, 3, 1, 2)  # channels-last as it lies
        y = nn.functional.conv2d(pixels, self.weight[:, :, None, None], self.bias)
        return y.permute(0, 2, 3, 1).reshape(*x.shape[:-1], self.out_features)


def use_pointwise_convolutions(model: nn.Module) -> None:
    """Put one in the place of every linear layer of the model; parameters and state-dict keys stay as they are."""
    for parent in list(model.modules()):
        for name, child in list(parent.named_children()):
            if type(child) is nn.Linear:
                parent.register_module(name, _sharing_parameters(child))


def _sharing_parameters(linear: nn.Linear) -> PointwiseLinear:
    pointwise = PointwiseLinear(linear.in_features, linear.out_features, linear.bias is not None, device="meta")
    pointwise.weight, pointwise.bias = linear.weight, linear.bias
    return pointwise.train(linear.training)
