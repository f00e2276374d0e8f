// The most 8-bit multiply-adds a second that this core does: dot products of bytes and nothing
// else, in sums that do not wait for each other, all operands in registers.
//
//     int8_peak avx512_vnni|avx_vnni SECONDS     prints multiply-adds a second of CPU time

#include <immintrin.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define SUMS 12  // more than one instruction's latency times two a cycle
#define ROUNDS 100000L

#define EACH(F) F(0) F(1) F(2) F(3) F(4) F(5) F(6) F(7) F(8) F(9) F(10) F(11)
// The compiler may think that the sums change here, so it can drop or merge none of them.
#define KEEP                                                                                   \
  __asm__ volatile(""                                                                          \
                   : "+v"(s0), "+v"(s1), "+v"(s2), "+v"(s3), "+v"(s4), "+v"(s5), "+v"(s6),     \
                     "+v"(s7), "+v"(s8), "+v"(s9), "+v"(s10), "+v"(s11))

__attribute__((target("avx512f,avx512vnni"))) static long wide(void) {
  const __m512i a = _mm512_set1_epi8(3), b = _mm512_set1_epi8(-2);
#define START(i) __m512i s##i = _mm512_setzero_si512();
#define STEP(i) s##i = _mm512_dpbusd_epi32(s##i, a, b);
  EACH(START)
  for (long round = 0; round < ROUNDS; round++) {
    EACH(STEP)
    KEEP;
  }
#undef START
#undef STEP
  return ROUNDS * SUMS * 64;
}

__attribute__((target("avx2,avxvnni"))) static long narrow(void) {
  const __m256i a = _mm256_set1_epi8(3), b = _mm256_set1_epi8(-2);
#define START(i) __m256i s##i = _mm256_setzero_si256();
#define STEP(i) s##i = _mm256_dpbusd_avx_epi32(s##i, a, b);
  EACH(START)
  for (long round = 0; round < ROUNDS; round++) {
    EACH(STEP)
    KEEP;
  }
#undef START
#undef STEP
  return ROUNDS * SUMS * 32;
}

static double now(clockid_t which) {
  struct timespec time;
  clock_gettime(which, &time);
  return time.tv_sec + time.tv_nsec * 1e-9;
}

int main(int count, char **words) {
  if (count != 3) return 2;
  long (*run)(void) = strcmp(words[1], "avx512_vnni") ? narrow : wide;
  const double end = now(CLOCK_MONOTONIC) + atof(words[2]), begun = now(CLOCK_PROCESS_CPUTIME_ID);
  double done = 0;
  while (now(CLOCK_MONOTONIC) < end) done += run();
  printf("%.6e\n", done / (now(CLOCK_PROCESS_CPUTIME_ID) - begun));
  return 0;
}
