"""Matrix products by OpenBLAS, Debian's library, called as any program would."""

import ctypes
import os
import pathlib
import sys

import numpy as np

from peer import arguments, load, serve

folder, threads = arguments()
# Debian's library does not know newer processors and would fall back to SSE kernels: it is told which of its kernels fit.
flags = pathlib.Path("/proc/cpuinfo").read_text()
kernels = "SkylakeX" if "avx512f" in flags else "Haswell" if "avx2" in flags else None
if kernels and "OPENBLAS_CORETYPE" not in os.environ:
    os.execve(sys.executable, [sys.executable, *sys.argv], {**os.environ, "OPENBLAS_CORETYPE": kernels})
blas = ctypes.CDLL("libopenblas.so.0")
blas.openblas_set_num_threads(threads)
ROW_MAJOR, PLAIN, TRANSPOSED = 101, 111, 112
pointer = ctypes.POINTER(ctypes.c_float)
tensors, _ = load(folder, "gemm")
factors = {key[:-2]: (tensors[key], tensors[key[:-2] + ".w"]) for key in tensors if key.endswith(".x")}

def outputs(key):
    w = factors[key][1]
    return w.shape[1 if key.endswith("row-major") else 0]


results = {key: np.zeros((x.shape[0], outputs(key)), np.float32) for key, (x, _) in factors.items()}


def multiply(key):
    (x, w), y = factors[key], results[key]
    (m, k), n = x.shape, y.shape[1]
    order = PLAIN if key.endswith("row-major") else TRANSPOSED
    blas.cblas_sgemm(
        ROW_MAJOR, PLAIN, order, m, n, k, ctypes.c_float(1), x.ctypes.data_as(pointer), k, w.ctypes.data_as(pointer),
        w.shape[1], ctypes.c_float(0), y.ctypes.data_as(pointer), n)


for key in factors:
    multiply(key)
serve(folder, "gemm", results, multiply)
