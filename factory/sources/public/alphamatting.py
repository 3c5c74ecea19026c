"""alphamatting.com's training pictures (Rhemann et al., CVPR 2009): with their mattes, and a benchmark of their own."""

from factory.sources.public.folders import Part, in_folders
from factory.sources.public.registry import PublicSet, register

register(
    PublicSet(
        name="alphamatting",
        title="alphamatting.com",
        home="http://www.alphamatting.com/datasets.php",
        archive="input_training_lowres.zip and gt_training_lowres.zip",
        layout="input_training_lowres and gt_training_lowres, or image and alpha",
        whole=27,
        licence="for research; see the page",
        attribution="Christoph Rhemann, Carsten Rother, Jue Wang, Margrit Gelautz, Pushmeet Kohli, and Pamela Rott. A "
        "Perceptually Motivated Online Benchmark for Image Matting. CVPR 2009",
        list_pairs=in_folders(
            (Part("input_training_lowres", "gt_training_lowres", test=True),),
            (Part("image", "alpha", test=True),),
        ),
    )
)
