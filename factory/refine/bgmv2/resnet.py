"""ResNet-50 and -101 (He et al., 2015) as BackgroundMattingV2's backbone: six channels in, output stride 16.

Names and shapes are those of the published weights. A block's stride sits in its 3x3 convolution ("v1.5"); the last
stage is dilated instead of strided, all but its first block. Pooling and classifier are left out.
"""

from torch import Tensor, nn
from torch.nn.functional import max_pool2d, relu

EXPANSION = 4  # a block's output over its inner width


class ResNet(nn.Module):
    """Picture and plate to maps of five sizes."""

    skips = (512, 256, 64, 6)  # channels of what the decoder joins, at 1/8, 1/4, 1/2 and 1
    channels = 2048  # of the map at 1/16

    def __init__(self, third: int) -> None:
        """third: blocks of the third stage: 6 in ResNet-50, 23 in ResNet-101."""
        super().__init__()
        self.conv1 = nn.Conv2d(6, 64, 7, 2, 3, bias=False)
        self.bn1 = nn.BatchNorm2d(64)
        self.layer1 = _stage(64, 64, blocks=3)
        self.layer2 = _stage(256, 128, blocks=4, stride=2)
        self.layer3 = _stage(512, 256, blocks=third, stride=2)
        self.layer4 = _stage(1024, 512, blocks=3, dilation=2)

    def forward(self, x: Tensor) -> list[Tensor]:
        """x: (B, 6, H, W).  Returns the maps at 1/16, 1/8, 1/4, 1/2, and x itself."""
        half = relu(self.bn1(self.conv1(x)))
        quarter = self.layer1(max_pool2d(half, 3, 2, 1))
        eighth = self.layer2(quarter)
        return [self.layer4(self.layer3(eighth)), eighth, quarter, half, x]


class Bottleneck(nn.Module):
    """Narrow, filter, widen, and add to the input, which is brought to the new shape where it has another."""

    def __init__(self, channels: int, width: int, stride: int, dilation: int) -> None:
        super().__init__()
        out = width * EXPANSION
        self.conv1 = nn.Conv2d(channels, width, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, stride, dilation, dilation, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.conv3 = nn.Conv2d(width, out, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(out)
        self.downsample = nn.Sequential()
        if stride > 1 or channels != out:
            self.downsample.extend([nn.Conv2d(channels, out, 1, stride, bias=False), nn.BatchNorm2d(out)])

    def forward(self, x: Tensor) -> Tensor:
        """(B, channels, H, W) to (B, 4 width, H / stride, W / stride)."""
        y = relu(self.bn1(self.conv1(x)))
        y = relu(self.bn2(self.conv2(y)))
        return relu(self.bn3(self.conv3(y)) + self.downsample(x))


def _stage(channels: int, width: int, *, blocks: int, stride: int = 1, dilation: int = 1) -> nn.Sequential:
    """The first block keeps the dilation of the stage before, which is 1 in all of them."""
    first = Bottleneck(channels, width, stride, dilation=1)
    return nn.Sequential(first, *(Bottleneck(width * EXPANSION, width, 1, dilation) for _ in range(blocks - 1)))
