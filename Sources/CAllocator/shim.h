#pragma once
#include <stdlib.h>

/* What Swift's Glibc module leaves out: how the C library's allocator gives memory back. Header-only. */

#if defined(__GLIBC__)
#include <malloc.h>

/* Blocks up to `block` bytes come from the heap (glibc allows 32 MB), which keeps up to `kept` free bytes at its end. */
static inline void allocator_keep(int block, int kept) {
  mallopt(M_MMAP_THRESHOLD, block);
  mallopt(M_TRIM_THRESHOLD, kept);
}
#else
static inline void allocator_keep(int block, int kept) { (void)block, (void)kept; }
#endif
