#!/usr/bin/env python3
"""OpenBLAS's product of two matrices of 1024×1024 float32: JSON, median in milliseconds.

usage: bench/openblas.py THREADS   (with OPENBLAS_NUM_THREADS=THREADS; OPENBLAS_CORETYPE asks for other code than it would choose)
"""
import ctypes
import json
import random
import sys
import time

blas = ctypes.CDLL("libopenblas.so.0")
blas.openblas_get_config.restype = ctypes.c_char_p
size = 1024
block = [random.gauss(0, 1) for _ in range(size)]
a, b, c = ((ctypes.c_float * (size * size))(*(block * size)) for _ in range(3))
row_major, plain, one, zero = 101, 111, ctypes.c_float(1), ctypes.c_float(0)
taken, began = [], time.perf_counter()
while len(taken) < 8 or time.perf_counter() - began < 0.4:
    start = time.perf_counter()
    blas.cblas_sgemm(row_major, plain, plain, size, size, size, one, a, size, b, size, zero, c, size)
    taken.append(time.perf_counter() - start)
print(json.dumps({
    "version": blas.openblas_get_config().decode(),
    "results": [{"name": "matmul", "shape": "1024x1024x1024", "threads": int(sys.argv[1]), "median_ms": sorted(taken[1:])[len(taken) // 2] * 1e3}],
}))
