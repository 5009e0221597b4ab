#include "layout.hpp"

#include <algorithm>
#include <cmath>
#include <tuple>

namespace novaflow::trajopt {
namespace {

constexpr int kMostBodies = 1 << 16;

struct Matrix3 {
  double m[9];
};

Matrix3 rotation_of(const double *transform) {
  const double *t = transform;
  return {{t[0], t[1], t[2], t[4], t[5], t[6], t[8], t[9], t[10]}};
}

Matrix3 product(const Matrix3 &a, const Matrix3 &b) {
  Matrix3 out{};
  for (int i = 0; i < 3; ++i) {
    for (int j = 0; j < 3; ++j) {
      for (int k = 0; k < 3; ++k) out.m[3 * i + j] += a.m[3 * i + k] * b.m[3 * k + j];
    }
  }
  return out;
}

Matrix3 transposed(const Matrix3 &a) {
  const double *m = a.m;
  return {{m[0], m[3], m[6], m[1], m[4], m[7], m[2], m[5], m[8]}};
}

void apply(const Matrix3 &a, const double *v, double *out) {
  for (int i = 0; i < 3; ++i) {
    out[i] = a.m[3 * i] * v[0] + a.m[3 * i + 1] * v[1] + a.m[3 * i + 2] * v[2];
  }
}

// A rotation that takes +z to the axis; the identity for +z itself.
Matrix3 toward(const double *axis) {
  if (axis[0] == 0.0 && axis[1] == 0.0 && axis[2] > 0.0) return {{1, 0, 0, 0, 1, 0, 0, 0, 1}};
  const int small = std::fabs(axis[0]) < 0.6 ? 0 : 1;
  double x[3] = {0, 0, 0};
  x[small] = 1.0;
  const double along = axis[small];
  double length = 0.0;
  for (int i = 0; i < 3; ++i) {
    x[i] -= along * axis[i];
    length += x[i] * x[i];
  }
  length = std::sqrt(length);
  for (double &value : x) value /= length;
  const double y[3] = {axis[1] * x[2] - axis[2] * x[1], axis[2] * x[0] - axis[0] * x[2],
                       axis[0] * x[1] - axis[1] * x[0]};
  return {{x[0], y[0], axis[0], x[1], y[1], axis[1], x[2], y[2], axis[2]}};
}

Capsule capsule_of(const double *row, const Matrix3 &turned_back) {
  double a[3], b[3];
  apply(turned_back, row, a);
  apply(turned_back, row + 3, b);
  Capsule out{};
  double length2 = 0.0;
  for (int i = 0; i < 3; ++i) {
    out.middle[i] = 0.5 * (a[i] + b[i]);
    out.half[i] = 0.5 * (b[i] - a[i]);
    length2 += out.half[i] * out.half[i];
  }
  out.half_length = std::sqrt(length2);
  out.radius = row[6];
  return out;
}

// The sphere about the middle of the ends' bounding box.
void bound(const std::vector<Capsule> &capsules, Cluster &cluster) {
  double low[3], high[3];
  std::fill(low, low + 3, INFINITY);
  std::fill(high, high + 3, -INFINITY);
  for (int k = cluster.first; k < cluster.last; ++k) {
    for (int i = 0; i < 3; ++i) {
      const double reach = std::fabs(capsules[k].half[i]);
      low[i] = std::min(low[i], capsules[k].middle[i] - reach);
      high[i] = std::max(high[i], capsules[k].middle[i] + reach);
    }
  }
  for (int i = 0; i < 3; ++i) cluster.centre[i] = 0.5 * (low[i] + high[i]);
  cluster.radius = 0.0;
  for (int k = cluster.first; k < cluster.last; ++k) {
    for (const double side : {-1.0, 1.0}) {
      double distance2 = 0.0;
      for (int i = 0; i < 3; ++i) {
        const double d = capsules[k].middle[i] + side * capsules[k].half[i] - cluster.centre[i];
        distance2 += d * d;
      }
      cluster.radius = std::max(cluster.radius, std::sqrt(distance2) + capsules[k].radius + 1e-12);
    }
  }
}

bool in_range(int value, int low, int high) { return low <= value && value <= high; }

}  // namespace

bool all_finite(const double *values, std::size_t count) {
  double product = 0.0;  // stays 0 unless something is not finite
  for (std::size_t i = 0; i < count; ++i) product += values[i] * 0.0;
  return product == 0.0;
}

int check(const novaflow_trajopt_arm &arm, const novaflow_trajopt_bodies &bodies) {
  const int n = arm.joint_count;
  if (!in_range(n, 1, kMaxJoints) || !in_range(bodies.capsule_count, 0, kMostBodies) ||
      !in_range(bodies.pair_count, 0, kMostBodies * 64) ||
      !in_range(bodies.box_count, 0, kMostBodies) ||
      !in_range(bodies.obstacle_count, 0, kMostBodies)) {
    return NOVAFLOW_TRAJOPT_BAD_VALUE;
  }
  const bool finite = all_finite(arm.T_parent_joint, 16 * std::size_t(n)) &&
                      all_finite(arm.axis, 3 * std::size_t(n)) && all_finite(arm.lower, n) &&
                      all_finite(arm.upper, n) && all_finite(arm.rest, n) &&
                      all_finite(arm.T_last_tcp, 16) &&
                      all_finite(bodies.capsule, 7 * std::size_t(bodies.capsule_count)) &&
                      all_finite(bodies.plane, bodies.has_plane ? 4 : 0) &&
                      all_finite(bodies.T_box_base, 16 * std::size_t(bodies.box_count)) &&
                      all_finite(bodies.box_half, 3 * std::size_t(bodies.box_count)) &&
                      all_finite(bodies.obstacle, 7 * std::size_t(bodies.obstacle_count));
  if (!finite) return NOVAFLOW_TRAJOPT_NOT_FINITE;
  for (int i = 0; i < n; ++i) {
    const double *a = arm.axis + 3 * i;
    if (std::fabs(a[0] * a[0] + a[1] * a[1] + a[2] * a[2] - 1.0) > 1e-6) {
      return NOVAFLOW_TRAJOPT_BAD_VALUE;
    }
  }
  for (int k = 0; k < bodies.capsule_count; ++k) {
    if (!in_range(bodies.frame[k], 0, n) || bodies.capsule[7 * std::size_t(k) + 6] < 0) {
      return NOVAFLOW_TRAJOPT_BAD_VALUE;
    }
  }
  for (int k = 0; k < 2 * bodies.pair_count; ++k) {
    if (!in_range(bodies.pair[k], 0, bodies.capsule_count - 1)) return NOVAFLOW_TRAJOPT_BAD_VALUE;
  }
  return NOVAFLOW_TRAJOPT_OK;
}

void lay_out(const novaflow_trajopt_arm &arm, const novaflow_trajopt_bodies &bodies,
             OwnedModel &model) {
  Model &view = model.view;
  const int n = view.joint_count = arm.joint_count;
  // R'_i = R_i A_i with A_i z = axis_i: then every joint turns about, or slides along, its own z.
  std::vector<Matrix3> aligned(n + 1, Matrix3{{1, 0, 0, 0, 1, 0, 0, 0, 1}});
  for (int i = 0; i < n; ++i) {
    const double *offset = arm.T_parent_joint + 16 * i;
    aligned[i + 1] = toward(arm.axis + 3 * i);
    const Matrix3 back = transposed(aligned[i]);
    Joint &joint = view.joints[i];
    const Matrix3 rotation = product(product(back, rotation_of(offset)), aligned[i + 1]);
    std::copy(rotation.m, rotation.m + 9, joint.rotation);
    const double translation[3] = {offset[3], offset[7], offset[11]};
    apply(back, translation, joint.translation);
    joint.revolute = arm.revolute[i] != 0;
    joint.lower = arm.lower[i];
    joint.upper = arm.upper[i];
    joint.rest = arm.rest[i];
  }
  const Matrix3 last = transposed(aligned[n]);
  const Matrix3 tcp = product(last, rotation_of(arm.T_last_tcp));
  std::copy(tcp.m, tcp.m + 9, view.tcp_rotation);
  const double tip[3] = {arm.T_last_tcp[3], arm.T_last_tcp[7], arm.T_last_tcp[11]};
  apply(last, tip, view.tcp_translation);

  std::vector<int> cluster_of;
  for (int k = 0; k < bodies.capsule_count; ++k) {
    const int frame = bodies.frame[k];
    model.frames.push_back(frame);
    model.capsules.push_back(
        capsule_of(bodies.capsule + 7 * std::size_t(k), transposed(aligned[frame])));
    const bool sphere = model.capsules[k].half_length == 0.0;
    const bool alike = k > 0 && frame == model.frames[k - 1] &&
                       sphere == (model.capsules[k - 1].half_length == 0.0);
    if (!alike) model.clusters.push_back({{0, 0, 0}, 0, frame, k, k});
    model.clusters.back().last = k + 1;
    cluster_of.push_back(int(model.clusters.size()) - 1);
  }
  for (Cluster &cluster : model.clusters) bound(model.capsules, cluster);

  for (int k = 0; k < bodies.pair_count; ++k) {
    model.pairs.push_back({bodies.pair[2 * k], bodies.pair[2 * k + 1]});
  }
  const auto clusters = [&](const CapsulePair &p) {
    return std::make_tuple(cluster_of[p.i], cluster_of[p.j]);
  };
  std::stable_sort(
      model.pairs.begin(), model.pairs.end(),
      [&](const CapsulePair &a, const CapsulePair &b) { return clusters(a) < clusters(b); });
  for (int k = 0; k < bodies.pair_count; ++k) {
    const auto [i, j] = clusters(model.pairs[k]);
    if (model.cluster_pairs.empty() || model.cluster_pairs.back().i != i ||
        model.cluster_pairs.back().j != j) {
      model.cluster_pairs.push_back({i, j, k, k});
    }
    model.cluster_pairs.back().last = k + 1;
  }

  for (int k = 0; k < bodies.box_count; ++k) {
    const double *t = bodies.T_box_base + 16 * std::size_t(k);
    Box box{};
    const Matrix3 rotation = rotation_of(t);
    std::copy(rotation.m, rotation.m + 9, box.rotation);
    for (int i = 0; i < 3; ++i) {
      box.translation[i] = t[4 * i + 3];
      box.half[i] = bodies.box_half[3 * std::size_t(k) + i];
    }
    model.boxes.push_back(box);
  }
  const Matrix3 identity = {{1, 0, 0, 0, 1, 0, 0, 0, 1}};
  for (int k = 0; k < bodies.obstacle_count; ++k) {
    model.obstacles.push_back(capsule_of(bodies.obstacle + 7 * std::size_t(k), identity));
  }
  const std::size_t columns = 1 + std::size_t(bodies.box_count) + bodies.obstacle_count;
  model.meets.assign(bodies.meets, bodies.meets + columns * bodies.capsule_count);

  view.capsule_count = bodies.capsule_count;
  view.cluster_count = int(model.clusters.size());
  view.pair_count = bodies.pair_count;
  view.cluster_pair_count = int(model.cluster_pairs.size());
  view.box_count = bodies.box_count;
  view.obstacle_count = bodies.obstacle_count;
  view.capsules = model.capsules.data();
  view.frames = model.frames.data();
  view.clusters = model.clusters.data();
  view.pairs = model.pairs.data();
  view.cluster_pairs = model.cluster_pairs.data();
  view.boxes = model.boxes.data();
  view.obstacles = model.obstacles.data();
  view.meets = model.meets.data();
  view.has_plane = bodies.has_plane != 0;
  std::copy(bodies.plane, bodies.plane + 4, view.plane);
}

}  // namespace novaflow::trajopt
