"""HRSOD, high-resolution salient objects (Zeng et al., ICCV 2019)."""

from factory.sources.public.folders import Part, in_folders
from factory.sources.public.registry import PublicSet, register

register(
    PublicSet(
        name="hrsod",
        title="HRSOD",
        home="https://github.com/yi94code/HRSOD",
        archive="HRSOD_release",
        # HRSOD/{images,masks}, which ThinObject-5K and HQSeg-44K bring along, is a choice of test images: not taken
        layout="HRSOD_train and HRSOD_train_mask; HRSOD_test stays out",
        paper_count=1918,
        training=1610,
        whole=2010,
        licence="research use, see home page",
        attribution="Yi Zeng, Pingping Zhang, Jianming Zhang, Zhe Lin, and Huchuan Lu. Towards High-Resolution Salient "
        "Object Detection. ICCV 2019",
        soft_alpha=False,
        list_pairs=in_folders(
            (Part("HRSOD_train", "HRSOD_train_mask"), Part("HRSOD_test", "HRSOD_test_mask", test=True)),
            (Part("HRSOD-TR/images", "HRSOD-TR/masks"), Part("HRSOD-TE/images", "HRSOD-TE/masks", test=True)),
            inside=("HRSOD",),
        ),
    )
)
