// One number for each of several time steps: the compiler's vector type, and the few functions that
// its operators do not offer. Compiled once per instruction set, each in a namespace of its own
// (NOVAFLOW_TARGET), so that the linker can never mix them up.
#pragma once

#if defined(__x86_64__) || defined(_M_X64)
#include <immintrin.h>
#elif defined(__aarch64__)
#include <arm_neon.h>
#endif

#if defined(__AVX512F__)
#define NOVAFLOW_LANES 8
#elif defined(__AVX2__)
#define NOVAFLOW_LANES 4
#else
#define NOVAFLOW_LANES 2
#endif

namespace novaflow::trajopt::NOVAFLOW_TARGET {

constexpr int kLanes = NOVAFLOW_LANES;
typedef double Lanes __attribute__((vector_size(8 * NOVAFLOW_LANES)));
typedef decltype(Lanes{} < Lanes{}) Mask;  // 64-bit integers: -1 where true, 0 where false

inline Lanes all(double value) { return Lanes{} + value; }
inline Lanes select(Mask where, Lanes a, Lanes b) { return where ? a : b; }

#if defined(__AVX512F__)
inline Lanes sqrt(Lanes a) { return _mm512_sqrt_pd(a); }
inline Lanes min(Lanes a, Lanes b) { return _mm512_min_pd(a, b); }
inline Lanes max(Lanes a, Lanes b) { return _mm512_max_pd(a, b); }
inline bool any_less(Lanes a, Lanes b) { return _mm512_cmp_pd_mask(a, b, _CMP_LT_OQ) != 0; }
#elif defined(__AVX2__)
inline Lanes sqrt(Lanes a) { return _mm256_sqrt_pd(a); }
inline Lanes min(Lanes a, Lanes b) { return _mm256_min_pd(a, b); }
inline Lanes max(Lanes a, Lanes b) { return _mm256_max_pd(a, b); }
inline bool any_less(Lanes a, Lanes b) {
  return _mm256_movemask_pd(_mm256_cmp_pd(a, b, _CMP_LT_OQ)) != 0;
}
#elif defined(__SSE2__)
inline Lanes sqrt(Lanes a) { return _mm_sqrt_pd(a); }
inline Lanes min(Lanes a, Lanes b) { return _mm_min_pd(a, b); }
inline Lanes max(Lanes a, Lanes b) { return _mm_max_pd(a, b); }
inline bool any_less(Lanes a, Lanes b) { return _mm_movemask_pd(_mm_cmplt_pd(a, b)) != 0; }
#elif defined(__aarch64__)
inline Lanes sqrt(Lanes a) { return (Lanes)vsqrtq_f64((float64x2_t)a); }
inline Lanes min(Lanes a, Lanes b) { return a < b ? a : b; }
inline Lanes max(Lanes a, Lanes b) { return a > b ? a : b; }
inline bool any_less(Lanes a, Lanes b) {
  Mask m = a < b;
  return (m[0] | m[1]) != 0;
}
#else
inline Lanes sqrt(Lanes a) {
  for (int l = 0; l < kLanes; ++l) a[l] = __builtin_sqrt(a[l]);
  return a;
}
inline Lanes min(Lanes a, Lanes b) { return a < b ? a : b; }
inline Lanes max(Lanes a, Lanes b) { return a > b ? a : b; }
inline bool any_less(Lanes a, Lanes b) {
  Mask m = a < b;
  bool found = false;
  for (int l = 0; l < kLanes; ++l) found |= m[l] != 0;
  return found;
}
#endif

inline bool any_less(Lanes a, double b) { return any_less(a, all(b)); }
inline Lanes abs(Lanes a) { return max(a, -a); }
inline Lanes clamp(Lanes a, double low, double high) { return min(max(a, all(low)), all(high)); }

// sin and cos: x = k pi/2 + r with |r| <= pi/4, then the series of both in r. Within 2e-16 for
// |x| < 1e5; pi/2 is taken off in three parts, of which the first two have 33 bits each, so that
// their products with k are exact.
inline void sincos(Lanes x, Lanes &sine, Lanes &cosine) {
  constexpr double kRound = 0x1.8p52;  // adding it leaves an integer in the last bits
  constexpr double kPart1 = 0x1.921fb544p+0, kPart2 = 0x1.0b4611a6p-34,
                   kPart3 = 0x1.3198a2e037073p-69;
  const Lanes shifted = x * 0x1.45f306dc9c883p-1 + kRound;  // 2 / pi
  const Lanes k = shifted - kRound;
  const Mask quadrant = (Mask)shifted;
  const Lanes r = ((x - k * kPart1) - k * kPart2) - k * kPart3;
  const Lanes r2 = r * r;
  Lanes s = all(-1.0 / 1307674368000.0), c = all(1.0 / 20922789888000.0);
  constexpr double kSine[] = {1.0 / 6227020800, -1.0 / 39916800, 1.0 / 362880,
                              -1.0 / 5040,      1.0 / 120,       -1.0 / 6};
  constexpr double kCosine[] = {
      -1.0 / 87178291200, 1.0 / 479001600, -1.0 / 3628800, 1.0 / 40320, -1.0 / 720, 1.0 / 24, -0.5};
  for (double coefficient : kSine) s = s * r2 + coefficient;
  for (double coefficient : kCosine) c = c * r2 + coefficient;
  s = r + r * r2 * s;
  c = 1.0 + r2 * c;
  const Mask swapped = (quadrant & 1) != 0;
  const Lanes first = select(swapped, c, s), second = select(swapped, s, c);
  sine = select((quadrant & 2) != 0, -first, first);
  cosine = select(((quadrant + 1) & 2) != 0, -second, second);
}

// angle / sin(angle) from both, for 0 <= angle < 0.9 pi. The angle is halved four times,
//   cos(a/2) = sqrt((1 + cos a) / 2),   sin a = 16 sin(a/16) cos(a/16) cos(a/8) cos(a/4) cos(a/2),
// until the series of atan converges fast.
inline Lanes angle_over_sine(Lanes sine, Lanes cosine) {
  Lanes c = cosine, product = all(16.0);
  for (int halving = 0; halving < 4; ++halving) {
    c = sqrt(0.5 + 0.5 * c);
    product *= c;
  }
  const Lanes factor = 1.0 / (product * c);  // tan(a/16) / sin a
  const Lanes tangent = sine * factor, t2 = tangent * tangent;
  Lanes series = all(1.0 / 23);
  for (int n = 21; n >= 1; n -= 2) series = 1.0 / n - t2 * series;
  return 16.0 * factor * series;
}

}  // namespace novaflow::trajopt::NOVAFLOW_TARGET
