"""AM-2k, animals (Li et al., IJCV 2022)."""

from factory.sources.public.folders import Part, in_folders
from factory.sources.public.registry import PublicSet, register

register(
    PublicSet(
        name="am-2k",
        title="AM-2k",
        home="https://github.com/JizhiziLi/GFM",
        archive="AM-2k's archive",
        layout="train/{original,mask}; validation stays out",
        paper_count=1942,
        training=1800,
        whole=2000,
        licence="MIT (AM-2k Dataset Release Agreement)",
        attribution="Jizhizi Li, Jing Zhang, Stephen J. Maybank, and Dacheng Tao. Bridging Composite and Real: Towards "
        "End-to-end Deep Image Matting. IJCV 2022",
        class_name="animal",  # 20 kinds, but the names are m_0a6c2018: they tell none
        list_pairs=in_folders(
            (Part("train/original", "train/mask"), Part("validation/original", "validation/mask", test=True)),
            inside=("AM-2k",),
        ),
    )
)
