#pragma once
#include <stdint.h>

/* What Swift has no word for: cpuid, the spin-wait hint and prefetch. Header-only, so nothing is compiled on its own. */

#if defined(__x86_64__)
#include <cpuid.h>

enum {
  processor_avx = 1, processor_avx2 = 2, processor_fma = 4, processor_f16c = 8,
  processor_bmi = 16, processor_lzcnt = 32, processor_movbe = 64
};

/* The parts of x86-64-v3 that this CPU, or its operating system, does not offer; 0 when nothing is missing. */
static inline uint32_t processor_missing(void) {
  uint32_t missing = processor_avx | processor_avx2 | processor_fma | processor_f16c | processor_bmi | processor_lzcnt
                     | processor_movbe;
  unsigned a, b, c, d;
  if (!__get_cpuid(1, &a, &b, &c, &d)) return missing;
  if (c & (1u << 12)) missing &= ~(uint32_t)processor_fma;
  if (c & (1u << 22)) missing &= ~(uint32_t)processor_movbe;
  if (c & (1u << 29)) missing &= ~(uint32_t)processor_f16c;
  if ((c & (1u << 27)) && (c & (1u << 28))) {
    unsigned low, high;
    __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
    if ((low & 6u) == 6u) missing &= ~(uint32_t)processor_avx;
  }
  if (__get_cpuid_count(7, 0, &a, &b, &c, &d)) {
    if ((b & (1u << 5)) && !(missing & processor_avx)) missing &= ~(uint32_t)processor_avx2;
    if ((b & (1u << 3)) && (b & (1u << 8))) missing &= ~(uint32_t)processor_bmi;
  }
  if (__get_cpuid(0x80000001u, &a, &b, &c, &d) && (c & (1u << 5))) missing &= ~(uint32_t)processor_lzcnt;
  return missing;
}

static inline void processor_pause(void) { __builtin_ia32_pause(); }
#else
static inline uint32_t processor_missing(void) { return 0; }
static inline void processor_pause(void) { __asm__ volatile("yield"); }
#endif

static inline void processor_prefetch(const void *address) { __builtin_prefetch(address, 0, 3); }
