"""PNG and JPEG files as their chunks and markers describe them.

Sample depths and transparency as in the PNG specification (W3C, third edition), orientation as in EXIF.
"""

import numpy as np
from PIL import Image

from sarslim.chips.images.content import Content, Header

FORMATS = ("PNG", "JPEG")
ORIENTATION = 0x0112
FLAT = ("L", "I", "F", "I;16", "I;16B")
COLOUR = ("RGB", "RGBA", "P", "PA")
KNOWN = (*FLAT, *COLOUR, "1", "LA")
# Where Pillow says that a file is turned.
SAYS_ORIENTATION = {"exif", "xmp", "XML:com.adobe.xmp", "Raw profile type exif"}


class Picture:
    """An opened image of Pillow.

    Raises:
        ValueError: a kind that holds no amplitudes, or more than one picture; says which.
    """

    def __init__(self, image: Image.Image) -> None:
        self._image = image
        mode = image.mode
        if mode not in KNOWN:
            raise ValueError(f"its samples are {mode}, neither amplitudes nor RGB")
        if image.format == "PNG" and getattr(image, "n_frames", 1) > 1:
            raise ValueError(f"it is a film of {image.n_frames} pictures")  # type: ignore[attr-defined]
        tile = getattr(image, "tile", ())
        self._raw_mode = str(tile[0].args) if tile and image.format == "PNG" else ""
        # Pillow cuts these down to 8 bit.
        self.deep_colour = self._raw_mode in ("RGB;16B", "RGBA;16B", "LA;16B")
        width, height = image.size
        self.header = Header(1, height, width, height * width * len(image.getbands()))

    @property
    def orientation(self) -> int:
        """As in EXIF; 1 is upright."""
        if SAYS_ORIENTATION.isdisjoint(self._image.info):
            return 1
        return int(self._image.getexif().get(ORIENTATION, 1))

    def content(self) -> Content:
        """Decodes the picture; not for deep colour, which needs its bytes."""
        image = self._image
        image.load()  # a PNG may tell its orientation at its end
        transparent = image.info.get("transparency")
        if image.mode in FLAT and transparent is None:
            return Content(np.asarray(image)[None], orientation=self.orientation)
        if image.mode in (*FLAT, "1"):
            samples = np.asarray(image if image.mode in FLAT else image.convert("L"))
            missing = None if transparent is None else samples[None] == self._depth_of(transparent)
            return Content(samples[None], missing=missing, orientation=self.orientation)
        if transparent is not None or image.mode in ("LA", "PA", "RGBA"):
            coloured = image.convert("RGBA")
            missing = np.asarray(coloured.getchannel("A"))[None] == 0
            return Content(np.asarray(coloured.convert("L"))[None], missing=missing, orientation=self.orientation)
        return Content(np.asarray(image.convert("L"))[None], orientation=self.orientation)

    def deep_content(self, data: bytes) -> Content:
        """Decodes 16-bit colour, or 16-bit grey with transparency, from the bytes of the file.

        Raises:
            ImportError: without the package imagecodecs.
        """
        import imagecodecs  # not in the runtime

        samples = np.moveaxis(imagecodecs.png_decode(data), 2, 0)
        colours = 3 if len(samples) >= 3 else 1
        missing = samples[colours:] == 0 if len(samples) > colours else None
        return Content(samples[:colours], colours == 3, missing, self.orientation)

    def _depth_of(self, transparent: int) -> int:
        """The grey that is transparent, in the depth to which Pillow scaled the samples."""
        if self._raw_mode in ("L;2", "L;4"):
            return transparent * 255 // (2 ** int(self._raw_mode[-1]) - 1)
        return transparent & 0xFF if self._image.mode == "L" else transparent
