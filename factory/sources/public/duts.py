"""DUTS, salient objects (Wang et al., CVPR 2017)."""

from factory.sources.public.folders import Part, in_folders
from factory.sources.public.registry import PublicSet, register

JPG, PNG = (".jpg",), (".png",)

register(
    PublicSet(
        name="duts",
        title="DUTS",
        home="https://saliencydetection.net/duts/",
        archive="DUTS-TR.zip",
        layout="DUTS-TR/{DUTS-TR-Image,DUTS-TR-Mask}; DUTS-TE stays out",
        paper_count=10426,
        training=10553,
        whole=15572,
        licence="research use, see home page",
        attribution="Lijun Wang, Huchuan Lu, Yifan Wang, Mengyang Feng, Dong Wang, Baocai Yin, and Xiang Ruan. "
        "Learning to Detect Salient Objects with Image-level Supervision. CVPR 2017",
        soft_alpha=False,
        list_pairs=in_folders(
            (
                Part("DUTS-TR/DUTS-TR-Image", "DUTS-TR/DUTS-TR-Mask"),
                Part("DUTS-TE/DUTS-TE-Image", "DUTS-TE/DUTS-TE-Mask", test=True),
            ),
            (Part("DUTS-TR-Image", "DUTS-TR-Mask"),),
            (Part("DUTS-TR/images", "DUTS-TR/masks"), Part("DUTS-TE/images", "DUTS-TE/masks", test=True)),
            (  # as CascadePSP's script and HQSeg-44K lay it out: picture and mask in one folder
                Part("DUTS-TR", "DUTS-TR", picture_suffixes=JPG, matte_suffixes=PNG),
                Part("DUTS-TE", "DUTS-TE", picture_suffixes=JPG, matte_suffixes=PNG, test=True),
            ),
            inside=("DUTS", "cascade_psp"),
        ),
    )
)
