"""Arrays as NumPy saves them, and what is in them, for internal/npy.

usage: python3 tools/oracle/npy.py internal/npy/testdata
"""
import json
import os
import sys

import numpy as np

folder = sys.argv[1]
os.makedirs(folder, exist_ok=True)
rng = np.random.default_rng(1)
z = rng.normal(0, 3, (3, 4))
counts = rng.integers(0, 100, (2, 3))
arrays = {
    "half": np.array([[0, -0.0, 1, -1.5], [65504, 6e-8, 6.1e-5, np.inf]], "<f2"), "float": z.astype("<f4"), "double": z,
    "big-endian": z.astype(">f4"), "big-double": z.astype(">f8"), "fortran": np.asfortranarray(z.astype("f4")),
    "fortran-cube": np.asfortranarray(rng.normal(0, 1, (2, 3, 4))), "int8": (counts - 50).astype("i1"),
    "int16": (counts - 50).astype(">i2"), "int32": (counts - 50).astype("i4"), "int64": counts - 50,
    "uint8": counts.astype("u1"), "uint16": counts.astype("u2"), "uint32": counts.astype(">u4"),
    "uint64": counts.astype("u8"), "bool": counts > 50, "scalar": np.float32(2.5), "none": np.zeros((0, 5), "f4"),
    "fortran-vector": np.asfortranarray(counts[0]), "whole": counts.astype("f8"),
}
expected = {}
for name, array in arrays.items():
    np.save(os.path.join(folder, name + ".npy"), array)
    array = np.asarray(array)
    values = [float(v) if np.isfinite(v) else "+Inf" for v in array.astype("f8").flatten()]
    expected[name] = {"shape": list(array.shape), "type": array.dtype.newbyteorder("=").name, "values": values}
np.savez(os.path.join(folder, "two.npz"), logits=arrays["float"], labels=arrays["int64"])
np.savez_compressed(os.path.join(folder, "packed.npz"), arrays["fortran"])
np.save(os.path.join(folder, "refused-objects.npy"), np.array([{}, []], object), allow_pickle=True)
np.save(os.path.join(folder, "refused-fields.npy"), np.zeros(2, [("a", "f4"), ("b", "i4")]))
np.save(os.path.join(folder, "refused-complex.npy"), np.zeros(2, complex))
np.save(os.path.join(folder, "refused-text.npy"), np.array(["a", "b"]))
json.dump(expected, open(os.path.join(folder, "expected.json"), "w"), indent=0)
