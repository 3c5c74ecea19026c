"""Adobe's Deep Image Matting set, the foregrounds of Composition-1k (Xu et al., CVPR 2017)."""

from factory.sources.public.folders import Part, in_folders
from factory.sources.public.registry import PublicSet, register
from factory.sources.public.stock_names import ALPHAMATTING_NAMES, stock_words

ADOBE, OTHER, TEST = "Training_set/Adobe-licensed images", "Training_set/Other", "Test_set/Adobe-licensed images"

register(
    PublicSet(
        name="adobe-matting",
        title="Adobe Deep Image Matting",
        home="https://github.com/adobe-research/Deep_Image_Matting_Dataset",
        archive="the release's archive (by mail formerly: Adobe_Deep_Matting_Dataset.zip)",
        layout="Training_set/{Adobe-licensed images,Other}/{fg,alpha}; Test_set stays out",
        paper_count=454,
        training=431,  # 27 of them are alphamatting.com's and stay out as well
        whole=481,
        licence="Adobe Deep Image Matting Dataset License Agreement (non-commercial)",
        attribution="Ning Xu, Brian Price, Scott Cohen, and Thomas Huang. Deep Image Matting. Proceedings of the "
        "Conference on Computer Vision and Pattern Recognition, 2017.",
        foreground="given",  # fg/ is meant to be composited as it is: the object's colours reach past its edge
        class_of=stock_words,
        test_names=ALPHAMATTING_NAMES,
        list_pairs=in_folders(
            (
                Part(f"{ADOBE}/fg", f"{ADOBE}/alpha", f"{ADOBE}/fg"),
                Part(f"{OTHER}/fg", f"{OTHER}/alpha", f"{OTHER}/fg"),
                Part(f"{TEST}/fg", f"{TEST}/alpha", f"{TEST}/fg", test=True),
            ),
            (  # as IndexNet's, GCA's and ViTMatte's instructions merge it
                Part("Training_set/fg", "Training_set/alpha", "Training_set/fg"),
                Part("Test_set/fg", "Test_set/alpha", "Test_set/fg", test=True),
            ),
            inside=("Combined_Dataset", "Adobe", "Deep_Image_Matting"),
        ),
    )
)
