"""Matrix products by OpenBLAS, Debian's library, called as any program would."""

import ctypes

import numpy as np

from peer import arguments, load, serve

folder, threads = arguments()
blas = ctypes.CDLL("libopenblas.so.0")
blas.openblas_set_num_threads(threads)
ROW_MAJOR, PLAIN, TRANSPOSED = 101, 111, 112
pointer = ctypes.POINTER(ctypes.c_float)
tensors, _ = load(folder, "gemm")
factors = {key[:-2]: (tensors[key], tensors[key[:-2] + ".w"]) for key in tensors if key.endswith(".x")}
results = {key: np.zeros((x.shape[0], w.shape[0]), np.float32) for key, (x, w) in factors.items()}


def multiply(key):
    (x, w), y = factors[key], results[key]
    (m, k), n = x.shape, w.shape[0]
    blas.cblas_sgemm(
        ROW_MAJOR, PLAIN, TRANSPOSED, m, n, k, ctypes.c_float(1), x.ctypes.data_as(pointer), k,
        w.ctypes.data_as(pointer), k, ctypes.c_float(0), y.ctypes.data_as(pointer), n)


for key in factors:
    multiply(key)
serve(folder, "gemm", results, multiply)
