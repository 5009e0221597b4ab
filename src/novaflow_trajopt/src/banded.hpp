// Cholesky factorisation L D L^T of the normal equations.
//
//   [ H_0 + S_0   -w^2 I                ]
//   [ -w^2 I      H_1 + S_1   -w^2 I    ]     S_t = (1 or 2) w^2 I + damping diag(H_t + S_t)
//   [             -w^2 I      ...       ]
//
// Variables are ordered step by step, so that the half bandwidth is N: column j of the lower
// triangle holds rows j..j+N. Columns are eliminated one after the other; each changes the next N.
#pragma once

#include "cost.hpp"

namespace novaflow::trajopt::NOVAFLOW_TARGET {

// Solves for `step` (T N); false where a pivot is not positive. kFixed is N, or 0: known at run
// time.
//   hessian (T, N (N+1)/2), gradient (T N), scale (T N): damping times diagonal, already computed.
//   columns: workspace (T N + N, N + 1).
template <int kFixed>
bool solve_banded(int joints, int steps, const double *hessian, const double *gradient,
                  const double *scale, double smooth2, double *columns, double *step) {
  const int n = kFixed ? kFixed : joints, width = n + 1, rows = steps * n;
  for (int t = 0; t < steps; ++t) {
    const double own = smooth2 * ((t > 0) + (t + 1 < steps));
    const double *block = hessian + std::size_t(t) * triangle_size(n);
    for (int j = 0; j < n; ++j) {
      double *column = columns + std::size_t(t * n + j) * width;
      for (int i = j; i < n; ++i) column[i - j] = block[triangle_index(i, j)];
      for (int i = n - j; i < n; ++i) column[i] = 0.0;
      column[0] += own + scale[t * n + j];
      column[n] = t + 1 < steps ? -smooth2 : 0.0;
      step[t * n + j] = -gradient[t * n + j];
    }
  }
  for (int k = 0; k < n * width; ++k) columns[std::size_t(rows) * width + k] = 0.0;
  double raw[kMaxJoints + 1];
  for (int j = 0; j < rows; ++j) {
    double *column = columns + std::size_t(j) * width;
    if (!(column[0] > 0.0)) return false;
    const double inverse = 1.0 / column[0];
    for (int i = 1; i <= n; ++i) {
      raw[i] = column[i];
      column[i] *= inverse;
    }
    const double value = step[j];
    const int below = rows - 1 - j < n ? rows - 1 - j : n;
    for (int i = 1; i <= n; ++i) {
      double *next = column + i * width;
      const double factor = column[i];
      for (int k = i; k <= n; ++k) next[k - i] -= factor * raw[k];
    }
    for (int i = 1; i <= below; ++i) step[j + i] -= column[i] * value;
    column[0] = inverse;
  }
  for (int j = rows - 1; j >= 0; --j) {
    const double *column = columns + std::size_t(j) * width;
    const int below = rows - 1 - j < n ? rows - 1 - j : n;
    double value = step[j] * column[0];
    for (int i = below; i >= 1; --i) value -= column[i] * step[j + i];
    step[j] = value;
  }
  return true;
}

inline bool solve_banded(int joints, int steps, const double *hessian, const double *gradient,
                         const double *scale, double smooth2, double *columns, double *step) {
  const auto solve = joints == 7   ? solve_banded<7>
                     : joints == 6 ? solve_banded<6>
                                   : solve_banded<0>;
  return solve(joints, steps, hessian, gradient, scale, smooth2, columns, step);
}

}  // namespace novaflow::trajopt::NOVAFLOW_TARGET
