// The functions of one instruction set behind the table that `dispatch.cpp` chooses from.
#pragma once

#include "levenberg_marquardt.hpp"

namespace novaflow::trajopt::NOVAFLOW_TARGET {

inline std::size_t workspace_bytes(const Model &model, int steps) {
  Arena arena(nullptr);
  Follower follower(model, steps, arena);
  return arena.used();
}

inline int follow(const Model &model, const Problem &problem, const Options &options,
                  void *workspace, Solution &out) {
  Arena arena(workspace);
  Follower follower(model, problem.steps, arena);
  return follower.follow(problem, options, out);
}

inline void linearise(const Model &model, const Problem &problem, void *workspace, double *cost,
                      double *gradient, double *hessian) {
  const int n = model.joint_count, triangle = triangle_size(n);
  Arena arena(workspace);
  Follower follower(model, problem.steps, arena);
  follower.path.want(problem);
  *cost = follower.path.linearise(problem.q_initial, follower.here);
  for (int k = 0; k < follower.size; ++k) gradient[k] = follower.here.gradient[k];
  for (int t = 0; t < problem.steps; ++t) {
    for (int i = 0; i < n; ++i) {
      for (int j = 0; j < n; ++j) {
        const int k = i >= j ? triangle_index(i, j) : triangle_index(j, i);
        hessian[(std::size_t(t) * n + i) * n + j] =
            follower.here.hessian[std::size_t(t) * triangle + k];
      }
    }
  }
}

inline void clearance(const Model &model, const double *q, int64_t count, double cap,
                      void *workspace, double *out) {
  const int n = model.joint_count;
  Arena arena(workspace);
  Bodies bodies(model, arena.take<char>(Bodies::bytes(model)));
  Lanes at[kMaxJoints];
  Chain chain;
  for (int64_t first = 0; first < count; first += kLanes) {
    const int used = count - first < kLanes ? int(count - first) : kLanes;
    for (int l = 0; l < kLanes; ++l) {
      const double *row = q + (first + (l < used ? l : used - 1)) * n;
      for (int i = 0; i < n; ++i) at[i][l] = row[i];
    }
    forward_kinematics(model, at, chain);
    bodies.move(chain);
    Lanes smallest = all(cap);
    visit_contacts(model, bodies, cap, [&](const Closest &contact, int, int) {
      smallest = min(smallest, contact.distance);
    });
    for (int l = 0; l < used; ++l) out[first + l] = smallest[l];
  }
}

// A constant: nothing of this instruction set may run before the processor was asked.
constexpr Target target(const char *name) {
  return {name, kLanes, workspace_bytes, follow, linearise, clearance};
}

}  // namespace novaflow::trajopt::NOVAFLOW_TARGET
