#pragma once
#include <stdint.h>

/* What Swift has no word for: cpuid, the spin-wait hint, prefetch, and vector operations that stay one instruction.
   (Swift 6.3 writes a vector's addingProduct and replacing(with:where:) as eight scalar operations and leaves it to the
   optimiser to find them again, which it does not where they follow one another.) Header-only: nothing is compiled alone. */

#if defined(__x86_64__)
#include <cpuid.h>

enum {
  processor_avx = 1, processor_avx2 = 2, processor_fma = 4, processor_f16c = 8,
  processor_bmi = 16, processor_lzcnt = 32, processor_movbe = 64,
  processor_avx512f = 128, processor_avx512bw = 256, processor_avx512cd = 512, processor_avx512dq = 1024,
  processor_avx512vl = 2048,
  processor_level3 = 127, processor_level4 = 4095
};

/* The parts of `level` (x86-64-v3 or -v4) that this CPU, or its operating system, does not offer; 0 when nothing is missing. */
static inline uint32_t processor_missing(uint32_t level) {
  uint32_t missing = processor_level4;
  int wide = 0;
  unsigned a, b, c, d;
  if (!__get_cpuid(1, &a, &b, &c, &d)) return level;
  if (c & (1u << 12)) missing &= ~(uint32_t)processor_fma;
  if (c & (1u << 22)) missing &= ~(uint32_t)processor_movbe;
  if (c & (1u << 29)) missing &= ~(uint32_t)processor_f16c;
  if ((c & (1u << 27)) && (c & (1u << 28))) {
    unsigned low, high;
    __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
    if ((low & 6u) == 6u) missing &= ~(uint32_t)processor_avx;
    wide = (low & 0xe6u) == 0xe6u;
  }
  if (__get_cpuid_count(7, 0, &a, &b, &c, &d)) {
    if ((b & (1u << 5)) && !(missing & processor_avx)) missing &= ~(uint32_t)processor_avx2;
    if ((b & (1u << 3)) && (b & (1u << 8))) missing &= ~(uint32_t)processor_bmi;
    if (wide && (b & (1u << 16))) missing &= ~(uint32_t)processor_avx512f;
    if (wide && (b & (1u << 30))) missing &= ~(uint32_t)processor_avx512bw;
    if (wide && (b & (1u << 28))) missing &= ~(uint32_t)processor_avx512cd;
    if (wide && (b & (1u << 17))) missing &= ~(uint32_t)processor_avx512dq;
    if (wide && (b & (1u << 31))) missing &= ~(uint32_t)processor_avx512vl;
  }
  if (__get_cpuid(0x80000001u, &a, &b, &c, &d) && (c & (1u << 5))) missing &= ~(uint32_t)processor_lzcnt;
  return missing & level;
}

static inline void processor_pause(void) { __builtin_ia32_pause(); }
#else
static inline void processor_pause(void) { __asm__ volatile("yield"); }
#endif

/* Into the first-level cache, or the second-level cache only; any address will do. */
static inline void processor_prefetch(const void *address) { __builtin_prefetch(address, 0, 3); }
static inline void processor_prefetch_second(const void *address) { __builtin_prefetch(address, 0, 2); }

typedef float processor_float8 __attribute__((ext_vector_type(8)));
typedef float processor_float16 __attribute__((ext_vector_type(16)));
typedef double processor_double8 __attribute__((ext_vector_type(8)));

/* a * b + c, rounded once. */
static inline processor_float8 processor_fma8(processor_float8 a, processor_float8 b, processor_float8 c) {
  return __builtin_elementwise_fma(a, b, c);
}
static inline processor_float16 processor_fma16(processor_float16 a, processor_float16 b, processor_float16 c) {
  return __builtin_elementwise_fma(a, b, c);
}
static inline processor_double8 processor_fma_double8(processor_double8 a, processor_double8 b, processor_double8 c) {
  return __builtin_elementwise_fma(a, b, c);
}

/* Lane by lane: x where a > b, else y; y where a or b is NaN. */
static inline processor_float8 processor_select_greater8(
  processor_float8 a, processor_float8 b, processor_float8 x, processor_float8 y
) {
  return a > b ? x : y;
}

static inline processor_float8 processor_sqrt8(processor_float8 a) { return __builtin_elementwise_sqrt(a); }
static inline processor_double8 processor_widen8(processor_float8 a) {
  return __builtin_convertvector(a, processor_double8);
}

/* Numbers of a stored type, wherever they lie, widened to float32 (Swift calls a function for each such vector). */
#define PROCESSOR_LOAD(name, count, element, result, work) \
  static inline result name(const void *address) { \
    typedef element stored __attribute__((ext_vector_type(count))); \
    stored values; \
    __builtin_memcpy(&values, address, sizeof(values)); \
    work \
  }
#define PROCESSOR_BFLOAT16(name, count, result) \
  PROCESSOR_LOAD(name, count, uint16_t, result, \
    typedef uint32_t words __attribute__((ext_vector_type(count))); \
    words wide = __builtin_convertvector(values, words) << 16; \
    result floats; \
    __builtin_memcpy(&floats, &wide, sizeof(floats)); \
    return floats;)

typedef float processor_float4 __attribute__((ext_vector_type(4)));
PROCESSOR_LOAD(processor_load_half4, 4, _Float16, processor_float4, return __builtin_convertvector(values, processor_float4);)
PROCESSOR_LOAD(processor_load_half8, 8, _Float16, processor_float8, return __builtin_convertvector(values, processor_float8);)
PROCESSOR_LOAD(
  processor_load_half16, 16, _Float16, processor_float16, return __builtin_convertvector(values, processor_float16);)
PROCESSOR_BFLOAT16(processor_load_bfloat4, 4, processor_float4)
PROCESSOR_BFLOAT16(processor_load_bfloat8, 8, processor_float8)
PROCESSOR_BFLOAT16(processor_load_bfloat16, 16, processor_float16)

/* Sixteen vectors of 16 lanes, transposed in place: 64 shuffles. */
static inline void processor_transpose16(processor_float16 *v) {
  processor_float16 a[16], b[16];
  /* Within each quarter: columns of two rows, then of four; then whole quarters. */
  for (int i = 0; i < 16; i += 2) {
    a[i] = __builtin_shufflevector(v[i], v[i + 1], 0, 16, 1, 17, 4, 20, 5, 21, 8, 24, 9, 25, 12, 28, 13, 29);
    a[i + 1] = __builtin_shufflevector(v[i], v[i + 1], 2, 18, 3, 19, 6, 22, 7, 23, 10, 26, 11, 27, 14, 30, 15, 31);
  }
  for (int i = 0; i < 16; i += 4) {
    for (int j = 0; j < 2; j++) {
      b[i + 2 * j] =
        __builtin_shufflevector(a[i + j], a[i + j + 2], 0, 1, 16, 17, 4, 5, 20, 21, 8, 9, 24, 25, 12, 13, 28, 29);
      b[i + 2 * j + 1] =
        __builtin_shufflevector(a[i + j], a[i + j + 2], 2, 3, 18, 19, 6, 7, 22, 23, 10, 11, 26, 27, 14, 15, 30, 31);
    }
  }
  for (int i = 0; i < 16; i += 8) {
    for (int j = 0; j < 4; j++) {
      a[i + j] =
        __builtin_shufflevector(b[i + j], b[i + j + 4], 0, 1, 2, 3, 8, 9, 10, 11, 16, 17, 18, 19, 24, 25, 26, 27);
      a[i + j + 4] =
        __builtin_shufflevector(b[i + j], b[i + j + 4], 4, 5, 6, 7, 12, 13, 14, 15, 20, 21, 22, 23, 28, 29, 30, 31);
    }
  }
  for (int i = 0; i < 8; i++) {
    v[i] = __builtin_shufflevector(a[i], a[i + 8], 0, 1, 2, 3, 8, 9, 10, 11, 16, 17, 18, 19, 24, 25, 26, 27);
    v[i + 8] = __builtin_shufflevector(a[i], a[i + 8], 4, 5, 6, 7, 12, 13, 14, 15, 20, 21, 22, 23, 28, 29, 30, 31);
  }
}

/* 16 elements of each of 16 rows, `row_bytes` apart, to 16 x 16 floats: the elements of a column become neighbours. */
#define PROCESSOR_TRANSPOSE(name, load) \
  static inline void name(const void *rows, long row_bytes, void *target) { \
    processor_float16 v[16]; \
    for (int i = 0; i < 16; i++) v[i] = load((const char *)rows + i * row_bytes); \
    processor_transpose16(v); \
    __builtin_memcpy(target, v, sizeof(v)); \
  }
PROCESSOR_LOAD(processor_load16, 16, float, processor_float16, return values;)
PROCESSOR_TRANSPOSE(processor_transpose_float32, processor_load16)
PROCESSOR_TRANSPOSE(processor_transpose_bfloat16, processor_load_bfloat16)
PROCESSOR_TRANSPOSE(processor_transpose_half, processor_load_half16)

typedef uint8_t processor_bytes16 __attribute__((ext_vector_type(16)));
typedef int8_t processor_signed_bytes16 __attribute__((ext_vector_type(16)));
static inline processor_float16 processor_widen_bytes16(processor_bytes16 a) {
  return __builtin_convertvector(a, processor_float16);
}
static inline processor_float16 processor_widen_signed_bytes16(processor_signed_bytes16 a) {
  return __builtin_convertvector(a, processor_float16);
}

/* One bit a lane, that of lane 0 the lowest: whether a > b; not where either is NaN. */
static inline uint16_t processor_mask_greater16(processor_float16 a, processor_float16 b) {
  typedef _Bool flags __attribute__((ext_vector_type(16)));
  flags greater = __builtin_convertvector(a > b, flags);
  uint16_t bits;
  __builtin_memcpy(&bits, &greater, sizeof(bits));
  return bits;
}

#ifdef __AVX512F__
/* The lanes whose bits are set, side by side from lane 0 on; zeros after them. */
static inline processor_float16 processor_compress16(processor_float16 a, uint16_t mask) {
  typedef float lanes __attribute__((vector_size(64)));
  return (processor_float16)__builtin_ia32_compresssf512_mask((lanes)a, (lanes){0}, mask);
}
#endif
