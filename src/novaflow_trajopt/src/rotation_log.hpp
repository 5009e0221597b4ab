// Rotation vector of a rotation matrix:  log R = a / sin a * (R - R^T)^vee / 2,  2 cos a = tr R
// - 1.
#pragma once

#include "vector3.hpp"

namespace novaflow::trajopt::NOVAFLOW_TARGET {

// Near half a turn R - R^T vanishes: one lane at a time through the quaternion's largest component.
inline void log_near_half_turn(const double (&r)[3][3], double *out) {
  const double trace = r[0][0] + r[1][1] + r[2][2];
  const double squares[4] = {1 + 2 * r[0][0] - trace, 1 + 2 * r[1][1] - trace,
                             1 + 2 * r[2][2] - trace, 1 + trace};
  int best = 0;
  for (int i = 1; i < 4; ++i) {
    if (squares[i] > squares[best]) best = i;
  }
  double q[4];  // x y z w, times 4 q_best
  if (best == 3) {
    q[0] = r[2][1] - r[1][2], q[1] = r[0][2] - r[2][0], q[2] = r[1][0] - r[0][1], q[3] = squares[3];
  } else {
    const int i = best, j = (best + 1) % 3, k = (best + 2) % 3;
    q[i] = squares[i], q[j] = r[i][j] + r[j][i], q[k] = r[i][k] + r[k][i];
    q[3] = r[k][j] - r[j][k];
  }
  const double sign = q[3] < 0 ? -1.0 : 1.0;
  const double length = __builtin_sqrt(q[0] * q[0] + q[1] * q[1] + q[2] * q[2]);
  const double angle = 2.0 * __builtin_atan2(length, sign * q[3]);
  for (int i = 0; i < 3; ++i) out[i] = length > 0 ? sign * q[i] * (angle / length) : 0.0;
}

// x, y, z: columns of A; wanted: rows of B, row-major. Returns log(A B^T).
inline Vector3 log_between(Vector3 x, Vector3 y, Vector3 z, const Vector3 *wanted_rows) {
  // row i of B holds the i-th coordinates of B's axes, so that (A B^T)_ij = A_i . B_j
  const Vector3 a[3] = {{x.x, y.x, z.x}, {x.y, y.y, z.y}, {x.z, y.z, z.z}};
  const Vector3 *b = wanted_rows;
  const Vector3 twist =
      Vector3{dot(a[2], b[1]) - dot(a[1], b[2]), dot(a[0], b[2]) - dot(a[2], b[0]),
              dot(a[1], b[0]) - dot(a[0], b[1])} *
      0.5;
  const Lanes sine = sqrt(dot(twist, twist));
  const Lanes cosine = 0.5 * (dot(a[0], b[0]) + dot(a[1], b[1]) + dot(a[2], b[2]) - 1.0);
  Vector3 out = twist * angle_over_sine(sine, max(cosine, all(-0.9)));
  if (__builtin_expect(any_less(cosine, -0.9), false)) {
    for (int l = 0; l < kLanes; ++l) {
      if (!(cosine[l] < -0.9)) continue;
      double r[3][3], angle[3];
      for (int i = 0; i < 3; ++i) {
        for (int j = 0; j < 3; ++j) {
          r[i][j] = a[i].x[l] * b[j].x[l] + a[i].y[l] * b[j].y[l] + a[i].z[l] * b[j].z[l];
        }
      }
      log_near_half_turn(r, angle);
      out.x[l] = angle[0], out.y[l] = angle[1], out.z[l] = angle[2];
    }
  }
  return out;
}

}  // namespace novaflow::trajopt::NOVAFLOW_TARGET
