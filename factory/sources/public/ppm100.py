"""PPM-100, a portrait benchmark (Ke et al., AAAI 2022): all of it is test images."""

from factory.sources.public.folders import Part, in_folders
from factory.sources.public.registry import PublicSet, register

register(
    PublicSet(
        name="ppm-100",
        title="PPM-100",
        home="https://github.com/ZHKKKe/PPM",
        archive="PPM-100.zip",
        layout="image and matte, both JPEG",
        paper_count=98,
        whole=100,
        licence="pictures: Flickr Creative Commons (commercial use and mods allowed); mattes: CC BY-NC-SA 4.0",
        attribution="Zhanghan Ke, Jiayu Sun, Kaican Li, Qiong Yan, and Rynson W.H. Lau. MODNet: Real-Time Trimap-Free "
        "Portrait Matting via Objective Decomposition. AAAI 2022",
        class_name="person",
        list_pairs=in_folders(
            (Part("image", "matte", test=True),),
            (Part("train/fg", "train/alpha", test=True), Part("val/fg", "val/alpha", test=True)),  # PaddleSeg's copy
            inside=("PPM-100",),
        ),
    )
)
