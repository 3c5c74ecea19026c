"""What stands behind a set: loading it for a matting network, training one, using and comparing them.

    from torch.utils.data import DataLoader

    from factory.matting import EpochOrder, LoaderSettings, MattingData, SetEntry

    settings = LoaderSettings((SetEntry("runs/objects"), SetEntry("runs/real", share=2)), backgrounds="photographs")
    data = MattingData(settings, seed=1)
    for batch in DataLoader(data, batch_size=16, sampler=EpochOrder(data), num_workers=4):
        alpha = network(batch["image"], batch["trimap"])

What is in a batch: factory/matting/data/item.py.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from factory.matting.data.dataset import MattingData
    from factory.matting.data.item import Item
    from factory.matting.data.sampler import EpochOrder
    from factory.matting.data.settings import LoaderSettings, SetEntry

__all__ = ["EpochOrder", "Item", "LoaderSettings", "MattingData", "SetEntry"]

_PLACES = {
    "EpochOrder": "sampler",
    "Item": "item",
    "LoaderSettings": "settings",
    "MattingData": "dataset",
    "SetEntry": "settings",
}


def __getattr__(name: str) -> Any:
    """Torch is imported with what needs it, and not by those who only plan."""
    from importlib import import_module  # noqa: PLC0415  (as above)

    if name not in _PLACES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"factory.matting.data.{_PLACES[name]}"), name)
