"""The public matting and saliency sets of Green100K, one small file each.

Adding a set is one new file here and nothing else; it registers itself:

    from factory.sources.public.folders import Part, in_folders
    from factory.sources.public.registry import PublicSet, register

    register(
        PublicSet(
            name="my-set",                          # `dataset:` in a recipe
            title="My set",
            home="https://example.org/my-set",
            archive="my-set.zip",
            layout="train/image and train/alpha",   # shown where it is not found
            licence="CC-BY-4.0",
            attribution="A. Author, My set, 2026",
            class_name="plant",
            list_pairs=in_folders(
                (Part("train/image", "train/alpha"), Part("test/image", "test/alpha", test=True)),
                inside=("my-set",),
            ),
        )
    )

Two folders of one's own, matched by name, need not even that: `dataset: pairs` (see pairs.py).

Benchmark images never enter a training set by themselves: the parts and names marked `test` are left out unless
`include_test` is asked for, and then the `source` of their samples ends in "-test". Six of the paper's counts can only
be met with them: Adobe (431 training images, 454 in the paper), PPM-100 (0, 98), AM-2k (1,800, 1,942), DIS5K (3,000,
5,314), HRSOD (1,610, 1,918) and ThinObject-5K (5,248, 5,594). Reaching those counts costs the right to evaluate on
their benchmarks.
"""

import importlib
import pkgutil

from factory.sources.public.listing import list_pairs, public_set, row_of
from factory.sources.public.registry import REGISTRY, Pair, PublicSet, register

for _module in pkgutil.iter_modules(__path__):
    importlib.import_module(f"{__name__}.{_module.name}")

__all__ = [
    "REGISTRY",
    "Pair",
    "PublicSet",
    "list_pairs",
    "public_set",
    "register",
    "row_of",
]
