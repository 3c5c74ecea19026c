"""Distinctions-646 (Qiao et al., CVPR 2020)."""

import re

from factory.sources.public.folders import Part, in_folders
from factory.sources.public.registry import PublicSet, register
from factory.sources.public.stock_names import ALPHAMATTING_NAMES, stock_words


def _class_of(name: str) -> str:
    """h_12 and male(76) are people."""
    return "person" if re.fullmatch(r"h_\d+|male\(\d+\)", name) else stock_words(name)


register(
    PublicSet(
        name="distinctions-646",
        title="Distinctions-646",
        home="https://github.com/yuhaoliu7456/CVPR2020-HAttMatting",
        archive="Distinctions-646.rar",
        layout="Train/{FG,GT}; Test stays out",
        paper_count=590,
        training=596,  # 27 of them are alphamatting.com's and stay out as well
        whole=646,
        licence="research use, see home page",
        attribution="Yu Qiao, Yuhao Liu, et al. Attention-Guided Hierarchical Structure Aggregation for Image Matting. "
        "CVPR 2020",
        foreground="given",
        class_of=_class_of,
        test_names=ALPHAMATTING_NAMES,
        list_pairs=in_folders(
            (Part("Train/FG", "Train/GT", "Train/FG"), Part("Test/FG", "Test/GT", "Test/FG", test=True)),
            (Part("train/fg", "train/alpha", "train/fg"), Part("val/fg", "val/alpha", "val/fg", test=True)),
            inside=("Distinctions-646",),
        ),
    )
)
