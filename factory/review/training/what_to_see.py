"""What to look for in a curve: a sentence for each loss and each measure of the trainings there are."""

from collections.abc import Mapping

LOSSES: Mapping[str, Mapping[str, str]] = {
    "train": {
        "pixels": "The error of what the autoencoder gives back: falls all the time, with the rate at its end.",
        "squares": "Large errors count here: a rise while pixels fall says that details are being lost.",
        "edges": "Strands and thin spokes: what this loses, nothing later brings back.",
        "kl": "A weak prior: it may rise while the others fall.",
        "noise": "Falls fast, then very slowly: the pictures go on getting better long after it looks flat.",
        "green": "Starts near the mean of |1/L − (1 − M)|, L tokens, and falls to where attention follows the outline.",
        "detail": "Follows the noise: most of it comes from steps where strands can be seen at all.",
        "latent": "Starts above 1 and drops within a few hundred steps: the features know the screen already.",
    },
    "train-matting": {
        "alpha": "The error of α where trimaps are unknown: each batch has other crops, so watch the dark line.",
        "composition": "The error of the picture that α would give: small where object and background look alike.",
        "absolute": "The error of α where trimaps are unknown: each batch has other crops, so watch the dark line.",
        "square": "Large errors count here: holes and lost limbs show in it before they show in the others.",
        "edges": "How sharp α is: the last to fall.",
        "unknown": "The error of α where trimaps are unknown: each batch has other crops, so watch the dark line.",
        "known": "The error where the trimap says α: falls to almost nothing, early.",
        "laplacian": "The error by scale: the last to fall is the finest, which is hair.",
        "gradient": "How sharp α is: falls late.",
    },
    "train-keyer": {
        "absolute": "The error of α over whole scenes, each drawn anew: watch the dark line.",
        "square": "Large errors count here: holes in objects of the screen's colour.",
        "edges": "How sharp the borders are: the last to fall.",
        "own": "What the object has of the screen's colour itself: falls slowly, and never to nothing.",
        "deviation": "The logarithm of the error that it expects of itself: may be below 0, and falls with the error.",
    },
}
MEASURES = {
    "levels": "How far pictures and what comes back of them are apart, of 255.",
    "mse": "Mean squared error of α on what it does not learn from: a rise while losses fall is learning by heart.",
    "sad": "Sum of absolute errors of α, in thousands: falls with the MSE, or blur is bought with it.",
    "mae": "Mean absolute error of the coarse masks: falls once the head learns.",
    "iou": "Overlap of the coarse masks with the true ones: more is better, 1 is all.",
    "gsg": "Distance of painted screens from their pure colour: the gate lets 20 pass, and a good model is far below.",
}


def of_loss(job: str, loss: str) -> str:
    """One sentence; "" for what is not known here."""
    return LOSSES.get(job, {}).get(loss, "")


def of_measure(measure: str) -> str:
    """One sentence; "" for what is not known here."""
    words = measure.lower().replace("_", " ").split()
    return next((sentence for name, sentence in MEASURES.items() if name in words), "")
