// Vectors of three, one per lane.
#pragma once

#include "lanes.hpp"

namespace novaflow::trajopt::NOVAFLOW_TARGET {

struct Vector3 {
  Lanes x, y, z;
};

inline Vector3 operator+(Vector3 a, Vector3 b) { return {a.x + b.x, a.y + b.y, a.z + b.z}; }
inline Vector3 operator-(Vector3 a, Vector3 b) { return {a.x - b.x, a.y - b.y, a.z - b.z}; }
inline Vector3 operator*(Vector3 a, Lanes s) { return {a.x * s, a.y * s, a.z * s}; }
inline Vector3 operator*(Vector3 a, double s) { return {a.x * s, a.y * s, a.z * s}; }
inline Lanes dot(Vector3 a, Vector3 b) { return a.x * b.x + a.y * b.y + a.z * b.z; }
inline Vector3 cross(Vector3 a, Vector3 b) {
  return {a.y * b.z - a.z * b.y, a.z * b.x - a.x * b.z, a.x * b.y - a.y * b.x};
}
inline Vector3 select(Mask where, Vector3 a, Vector3 b) {
  return {select(where, a.x, b.x), select(where, a.y, b.y), select(where, a.z, b.z)};
}
inline Vector3 all3(const double *v) { return {all(v[0]), all(v[1]), all(v[2])}; }

// matrix v and matrix^T v, for a row-major (3, 3) that all lanes share.
inline Vector3 rotate(const double *m, Vector3 v) {
  return {m[0] * v.x + m[1] * v.y + m[2] * v.z, m[3] * v.x + m[4] * v.y + m[5] * v.z,
          m[6] * v.x + m[7] * v.y + m[8] * v.z};
}
inline Vector3 rotate_back(const double *m, Vector3 v) {
  return {m[0] * v.x + m[3] * v.y + m[6] * v.z, m[1] * v.x + m[4] * v.y + m[7] * v.z,
          m[2] * v.x + m[5] * v.y + m[8] * v.z};
}

}  // namespace novaflow::trajopt::NOVAFLOW_TARGET
