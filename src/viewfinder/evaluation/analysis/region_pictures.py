"""Pictures of regions of masks."""

from collections.abc import Sequence

from viewfinder.evaluation.analysis.crops import Crop
from viewfinder.evaluation.analysis.regions import Region
from viewfinder.evaluation.example import Example, Marks, rgb_pixels
from viewfinder.evaluation.predictions.file import PredictionsFile
from viewfinder.evaluation.predictions.rows import decode_map
from viewfinder.evaluation.selection import Images

_LEAST_SHARE = 0.25  # of the image's longer side: less does not tell what is to be seen

MASK_KEY = "image  |  truth  |  prediction around the outlined region"


def around_regions(
    predictions: PredictionsFile, images: Images, places: Sequence[tuple[int, Region]]
) -> list[Example]:
    """Return what surrounds some regions: image, truth and prediction, without a caption.

    Args:
        predictions: The predictions for segmentation.
        images: Returns the batch of the images of some rows.
        places: Row of the image, and region in it.
    """
    rows = [row for row, _ in places]
    examples = []
    for (_, region), row, image in zip(
        places, predictions.chosen(rows), images(rows)["image"], strict=True
    ):
        pixels = rgb_pixels(image)
        height, width = pixels.shape[:2]
        crop = Crop.around(region.box, height, width, least=_LEAST_SHARE * max(height, width))
        truth, predicted = (crop.mask(decode_map(row[name])) for name in ("mask", "predicted_mask"))
        outline = [crop.lines(region.outline)]
        examples.append(
            Example(
                id=row["id"],
                image=crop.pixels(pixels),
                truth=Marks(mask=truth, outlines=outline),
                predicted=Marks(mask=predicted, outlines=outline),
                caption="",
                quality=region.given_confidence,
            )
        )
    return examples
