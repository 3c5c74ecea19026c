"""MSRA10K, salient objects (Cheng et al., PAMI 2015). It has no official test part."""

from factory.sources.public.folders import Part, in_folders
from factory.sources.public.registry import PublicSet, register

JPG, PNG = (".jpg",), (".png",)  # picture and mask lie in one folder

register(
    PublicSet(
        name="msra10k",
        title="MSRA10K",
        home="https://mmcheng.net/msra10k/",
        archive="MSRA10K_Imgs_GT.zip",
        layout="Imgs, with N.jpg and N.png side by side",
        paper_count=9884,
        training=10000,
        whole=10000,
        licence="research use, see home page",
        attribution="Ming-Ming Cheng, Niloy J. Mitra, Xiaolei Huang, Philip H. S. Torr, and Shi-Min Hu. Global "
        "Contrast based Salient Region Detection. IEEE TPAMI 2015",
        soft_alpha=False,
        list_pairs=in_folders(
            (Part("Imgs", "Imgs", picture_suffixes=JPG, matte_suffixes=PNG),),
            (Part("MSRA_10K", "MSRA_10K", picture_suffixes=JPG, matte_suffixes=PNG),),  # CascadePSP's, HQSeg-44K's
            (Part(".", ".", picture_suffixes=JPG, matte_suffixes=PNG),),
            inside=("MSRA10K_Imgs_GT", "cascade_psp"),
        ),
    )
)
