"""ThinObject-5K, thin and spiky objects (Liew et al., WACV 2021). Which images are test images, list/ tells."""

import re
from pathlib import Path

from factory.sources.captioning.names import name_from_path
from factory.sources.public.folders import Missing, Part, homes, in_folders, matched
from factory.sources.public.registry import Pair, PublicSet, register

INSIDE = ("ThinObject5K", "thin_object")
_split = in_folders(  # as HQSeg-44K lays it out
    (Part("images_train", "masks_train"), Part("images_test", "masks_test", test=True)), inside=INSIDE
)


def _list_pairs(root: Path) -> list[Pair]:
    for home in homes(root, INSIDE):
        if (home / "images").is_dir() and (home / "masks").is_dir() and not (home / "images_train").is_dir():
            return _listed(root, home)
    return _split(root)


def _listed(root: Path, home: Path) -> list[Pair]:
    """train.txt and val.txt for training, test.txt for test. A file that no list names is left alone."""
    of_name: dict[str, bool] = {}
    for split in ("train", "val", "test"):
        path = home / "list" / f"{split}.txt"
        if not path.is_file():
            raise Missing(f"has no {path.relative_to(root).as_posix()}, which tells training from test images")
        names = path.read_text(encoding="utf-8").split("\n")
        of_name |= {Path(line.strip()).stem: split == "test" for line in names if line.strip()}
    pairs = [*matched(root, home, Part("images", "masks")), *matched(root, home, Part("images", "masks", test=True))]
    return [pair for pair in pairs if of_name.get(pair.name) == pair.test]


def _class_of(name: str) -> str:
    """air_pump_PNG1 is an air pump."""
    named = re.match(r"(.+?)_PNG", name)
    return name_from_path("", named[1], "file") if named else ""


register(
    PublicSet(
        name="thinobject-5k",
        title="ThinObject-5K",
        home="https://github.com/liewjunhao/thin-object-selection",
        archive="ThinObject5K.zip",
        layout="images, masks and list/{train,val,test}.txt; what test.txt names stays out",
        paper_count=5594,
        training=5248,
        whole=5748,
        licence="CC BY-NC 4.0",
        attribution="Jun Hao Liew, Scott Cohen, Brian Price, Long Mai, and Jiashi Feng. Deep Interactive Thin Object "
        "Selection. WACV 2021",
        soft_alpha=False,  # the masks keep the grey edge of the cut-outs, but were made and are used as binary
        class_of=_class_of,
        list_pairs=_list_pairs,
    )
)
