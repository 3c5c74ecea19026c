"""DIS5K, dichotomous image segmentation (Qin et al., ECCV 2022)."""

from factory.sources.captioning.names import name_from_path
from factory.sources.public.folders import Part, in_folders
from factory.sources.public.registry import PublicSet, register

TEST = ("DIS-VD", "DIS-TE1", "DIS-TE2", "DIS-TE3", "DIS-TE4")


def _class_of(name: str) -> str:
    """1#Accessories#5#Jewelry#12836143775_… is a piece of jewelry: group, then class."""
    fields = name.split("#")
    return name_from_path("", fields[3], "file") if len(fields) > 4 else ""


register(
    PublicSet(
        name="dis5k",
        title="DIS5K",
        home="https://xuebinqin.github.io/dis/index.html",
        archive="DIS5K.zip",
        layout="DIS-TR/{im,gt}; DIS-VD and DIS-TE1 to DIS-TE4 stay out",
        paper_count=5314,
        training=3000,
        whole=5470,
        licence="DIS5K Terms of Use (non-commercial research and education)",
        attribution="Xuebin Qin, Hang Dai, Xiaobin Hu, Deng-Ping Fan, Ling Shao, and Luc Van Gool. Highly Accurate "
        "Dichotomous Image Segmentation. ECCV 2022",
        soft_alpha=False,
        class_of=_class_of,
        list_pairs=in_folders(
            (Part("DIS-TR/im", "DIS-TR/gt"), *(Part(f"{part}/im", f"{part}/gt", test=True) for part in TEST)),
            (Part("DIS-TR/images", "DIS-TR/masks"), *(Part(f"{p}/images", f"{p}/masks", test=True) for p in TEST)),
            inside=("DIS5K", "DIS-DATA"),
        ),
    )
)
