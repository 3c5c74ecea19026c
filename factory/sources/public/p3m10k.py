"""P3M-10k, portraits with blurred faces (Li et al., ACM MM 2021)."""

from factory.sources.public.folders import Part, in_folders
from factory.sources.public.registry import PublicSet, register

register(
    PublicSet(
        name="p3m-10k",
        title="P3M-10k",
        home="https://github.com/JizhiziLi/P3M",
        archive="P3M-10k.zip",
        layout="train/{blurred_image,mask}; validation stays out",
        paper_count=481,
        training=9421,
        whole=10421,
        licence="MIT (P3M-10k Dataset Release Agreement)",
        attribution="Jizhizi Li, Sihan Ma, Jing Zhang, and Dacheng Tao. Privacy-Preserving Portrait Matting. "
        "ACM MM 2021",
        class_name="person",
        list_pairs=in_folders(
            (
                Part("train/blurred_image", "train/mask"),
                Part("validation/P3M-500-P/blurred_image", "validation/P3M-500-P/mask", test=True),
                Part("validation/P3M-500-NP/original_image", "validation/P3M-500-NP/mask", test=True),
            ),
            inside=("P3M-10k",),
        ),
    )
)
