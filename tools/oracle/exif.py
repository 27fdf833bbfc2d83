"""Pictures with an EXIF orientation, and how Pillow turns them, for dataset.

usage: python3 tools/oracle/exif.py dataset/testdata/exif.json
"""
import base64
import io
import json
import sys

import numpy as np
from PIL import Image, ImageOps

# Blocks of 8 pixels, so that JPEG keeps them nearly as they are.
pixels = np.kron(np.array([[0, 60, 120], [180, 240, 30]], "u1"), np.ones((8, 8), "u1"))
cases = []
for orientation in range(1, 9):
    for kind in ("PNG", "JPEG"):
        exif = Image.Exif()
        if orientation % 2:
            exif[0x010F] = "a maker"  # another entry before the one that is looked for
        exif[0x0112] = orientation
        file = io.BytesIO()
        Image.fromarray(pixels).save(file, kind, exif=exif, **({"quality": 100} if kind == "JPEG" else {}))
        turned = np.asarray(ImageOps.exif_transpose(Image.open(io.BytesIO(file.getvalue()))))
        cases.append({"Kind": kind, "Orientation": orientation, "File": base64.b64encode(file.getvalue()).decode(),
                      "Shape": turned.shape, "Blocks": turned[::8, ::8].tolist()})
json.dump(cases, open(sys.argv[1], "w"))
