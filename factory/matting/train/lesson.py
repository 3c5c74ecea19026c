"""What a matting network is taught: crops of several sets, α by the losses of a recipe."""

from collections.abc import Generator
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.utils.data import default_collate

from factory.matting.data.dataset import MattingData
from factory.matting.data.item import Item
from factory.matting.data.sampler import EpochOrder
from factory.matting.networks.folder import load_network
from factory.matting.networks.kinds import build
from factory.matting.networks.network import MattingNetwork
from factory.matting.train.batches import batches
from factory.matting.train.losses import matting_losses
from factory.matting.train.rates import parameter_groups
from factory.matting.train.settings import MattingTraining
from factory.models.precision import autocast
from factory.quality.metrics import mse, sad, unknown
from factory.training.ranks import Ranks
from factory.training.schedule import learning_rate


class MattingLesson:
    """The network with its optimizer, and the sets."""

    def __init__(self, settings: MattingTraining, device: torch.device, ranks: Ranks) -> None:
        """Raises UsageError where the batch cannot be shared among the processes."""
        s = self.settings = settings
        self.device, self.ranks = device, ranks
        self.part = s.crops_at_once(ranks.count)
        torch.manual_seed(s.seed)
        self.network = new_network(s).to(device)
        self.modules = {s.network: self.network}
        groups = parameter_groups(self.network, s.lr, s.weight_decay, s.lr_factors, s.layer_decay)
        self.optimizer = torch.optim.AdamW(groups, s.lr)
        self.data = MattingData(s.loader, s.seed)
        self.unseen = MattingData(replace(s.loader, sets=s.validation), s.seed) if s.validation else None

    def batches(self, step: int) -> Generator[Item, None, None]:
        """Parts of this process's own."""
        s = self.settings
        order = EpochOrder(self.data, start=step * s.batch, rank=self.ranks.number, ranks=self.ranks.count)
        return batches(self.data, order, self.part, workers=s.workers, pinned=self.device.type == "cuda")

    def losses(self, network: nn.Module, batch: Item) -> dict[str, Tensor]:
        """The terms of the recipe, in float32."""
        s = self.settings
        there = {name: value.to(self.device) for name, value in batch.items() if isinstance(value, Tensor)}
        with autocast(s.bf16, self.device):
            alpha = network(there["image"], there["trimap"])
        return matting_losses(s.losses, alpha.float(), there, s.weighted, self.ranks.mean)

    def rate(self, base: float, step: int) -> float:
        """Of the recipe."""
        s = self.settings
        return learning_rate(base, step, steps=s.steps, warmup=s.warmup, decay=s.decay, drops=s.drops)

    def validate(self, step: int) -> dict[str, float]:
        """Means over the items held back, where their trimaps are unknown: MSE, and SAD in thousands."""
        assert self.unseen is not None  # else nobody asks
        errors = []
        for position in range(min(self.settings.validation_items, len(self.unseen))):
            item = default_collate([self.unseen[0, position]])
            alpha = self.network(item["image"].to(self.device), item["trimap"].to(self.device))
            trimap, truth, matte = (_levels(values) for values in (item["trimap"], item["alpha"], alpha))
            region = unknown(trimap)
            errors.append([mse(matte, truth, region), sad(matte, truth, region)] if region.any() else [0.0, 0.0])
        means = np.mean(errors, axis=0)
        return {"mse": float(means[0]), "sad": float(means[1])}


def new_network(settings: MattingTraining) -> MattingNetwork:
    """As the training begins with it; what is drawn is drawn by torch's global generator. Raises UsageError."""
    return load_network(Path(settings.begin)) if settings.begin else build(settings.network, settings.options)


def _levels(values: Tensor) -> NDArray[np.uint8]:
    """(1, 1, H, W) in 0..1, or a little beyond, to (H, W) levels; 0.5 is 128."""
    levels = values[0, 0].float().clamp(0, 1).mul(255).add(0.5).floor()
    return np.asarray(levels.cpu().numpy(), np.uint8)
