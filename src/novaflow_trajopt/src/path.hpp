// The objective over a whole path: lanes in, steps out.
#pragma once

#include "banded.hpp"

namespace novaflow::trajopt::NOVAFLOW_TARGET {

// Hands out aligned parts of one block of memory; with a null block it only counts.
class Arena {
 public:
  explicit Arena(void *block) : block_(reinterpret_cast<std::uintptr_t>(block)) {}

  template <class Item>
  Item *take(std::size_t count) {
    used_ = (used_ + 63) & ~std::size_t(63);
    Item *out = reinterpret_cast<Item *>(block_ + used_);
    used_ += sizeof(Item) * count;
    return out;
  }

  std::size_t used() const { return used_ + 64; }

 private:
  std::uintptr_t block_;
  std::size_t used_ = 0;
};

// The Gauss-Newton model along a path, and what is reported of it.
struct PathModel {
  double *hessian;   // (T, N (N+1)/2) lower triangles, without smoothness
  double *gradient;  // (T, N)
  double *position_error, *orientation_error, *clearance;  // (T)

  PathModel(Arena &arena, int steps, int joints)
      : hessian(arena.take<double>(std::size_t(steps) * triangle_size(joints))),
        gradient(arena.take<double>(std::size_t(steps) * joints)),
        position_error(arena.take<double>(steps)),
        orientation_error(arena.take<double>(steps)),
        clearance(arena.take<double>(steps)) {}
};

class Path {
 public:
  Path(const Model &model, int steps, Arena &arena)
      : model_(model),
        steps_(steps),
        groups_((steps + kLanes - 1) / kLanes),
        wanted_(arena.take<Wanted>(groups_)),
        bodies_(model, arena.take<char>(Bodies::bytes(model))) {}

  // Steps beyond the last repeat it; their results are not used.
  int step_of(int group, int lane) const {
    const int t = group * kLanes + lane;
    return t < steps_ ? t : steps_ - 1;
  }

  void want(const Problem &problem) {
    weights_ = problem.weights;
    for (int g = 0; g < groups_; ++g) {
      Wanted &wanted = wanted_[g];
      for (int l = 0; l < kLanes; ++l) {
        const int t = step_of(g, l);
        const double *pose = problem.T_base_tcp + 16 * std::size_t(t);
        for (int i = 0; i < 3; ++i) {
          wanted.rows[i].x[l] = pose[4 * i];
          wanted.rows[i].y[l] = pose[4 * i + 1];
          wanted.rows[i].z[l] = pose[4 * i + 2];
        }
        wanted.position.x[l] = pose[3];
        wanted.position.y[l] = pose[7];
        wanted.position.z[l] = pose[11];
        const bool end = t == 0 || t + 1 == steps_;
        wanted.position_weight[l] = end ? weights_.end_position : weights_.position;
        wanted.orientation_weight[l] = end ? weights_.end_orientation : weights_.orientation;
      }
    }
  }

  // Returns the cost.
  double linearise(const double *q, PathModel &out) {
    const int n = model_.joint_count, triangle = triangle_size(n);
    Lanes total = all(0.0), at[kMaxJoints];
    StepModel &step = step_;
    for (int g = 0; g < groups_; ++g) {
      for (int l = 0; l < kLanes; ++l) {
        const double *row = q + std::size_t(step_of(g, l)) * n;
        for (int i = 0; i < n; ++i) at[i][l] = row[i];
      }
      linearise_steps(model_, weights_, at, wanted_[g], bodies_, step);
      const int first = g * kLanes, count = steps_ - first < kLanes ? steps_ - first : kLanes;
      for (int l = 0; l < count; ++l) {
        const std::size_t t = first + l;
        total[l] += step.twice_cost[l];
        out.position_error[t] = step.position_error[l];
        out.orientation_error[t] = step.orientation_error[l];
        out.clearance[t] = step.clearance[l];
        for (int i = 0; i < n; ++i) out.gradient[t * n + i] = step.gradient[i][l];
        for (int k = 0; k < triangle; ++k) out.hessian[t * triangle + k] = step.hessian[k][l];
      }
    }
    double cost = 0.0;
    for (int l = 0; l < kLanes; ++l) cost += total[l];
    return 0.5 * (cost + add_smoothness(q, out.gradient));
  }

 private:
  // Adds the gradient of 1/2 w^2 |q_{t+1} - q_t|^2; returns twice the cost.
  double add_smoothness(const double *q, double *gradient) const {
    const int n = model_.joint_count;
    const double w2 = weights_.smooth * weights_.smooth;
    double sum = 0.0;
    for (int k = 0; k + n < steps_ * n; ++k) {
      const double difference = q[k + n] - q[k];
      sum += difference * difference;
      gradient[k] -= w2 * difference;
      gradient[k + n] += w2 * difference;
    }
    return w2 * sum;
  }

  const Model &model_;
  int steps_, groups_;
  Weights weights_{};
  Wanted *wanted_;
  Bodies bodies_;
  StepModel step_;
};

}  // namespace novaflow::trajopt::NOVAFLOW_TARGET
