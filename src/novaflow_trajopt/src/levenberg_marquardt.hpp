// Levenberg-Marquardt:  (H + damping diag H) step = -gradient,  damping by Nielsen's rule: the
// better the model predicted the decrease, the smaller it becomes.
//
// Source: Madsen, Nielsen, Tingleff, Methods for non-linear least squares problems, 2004.
#pragma once

#include "path.hpp"

namespace novaflow::trajopt::NOVAFLOW_TARGET {

constexpr double kFirstDamping = 1e-3, kLeastDamping = 1e-7, kMostDamping = 1e6;
constexpr double kAcceptedRatio = 1e-3;  // of actual and predicted decrease
constexpr double kLeastStep = 1e-5;      // [rad]; a refused step below it is the end

struct Follower {
  const Model &model;
  const int steps, size;
  Path path;
  PathModel here, trial;
  double *q_trial, *scale, *step, *columns;

  Follower(const Model &model, int steps, Arena &arena)
      : model(model),
        steps(steps),
        size(steps * model.joint_count),
        path(model, steps, arena),
        here(arena, steps, model.joint_count),
        trial(arena, steps, model.joint_count),
        q_trial(arena.take<double>(size)),
        scale(arena.take<double>(size)),
        step(arena.take<double>(size)),
        columns(
            arena.take<double>(std::size_t(size + model.joint_count) * (model.joint_count + 1))) {}

  void first_guess(const Problem &problem, double *q) const {
    const int n = model.joint_count;
    if (problem.q_initial) {
      for (int k = 0; k < size; ++k) q[k] = problem.q_initial[k];
      return;
    }
    for (int t = 0; t < steps; ++t) {
      const double share = steps > 1 ? double(t) / (steps - 1) : 0.0;
      for (int i = 0; i < n; ++i) {
        q[t * n + i] = (1.0 - share) * problem.q_start[i] + share * problem.q_end[i];
      }
    }
  }

  // Damping times the diagonal of H.
  void scale_by(double damping, double smooth2) {
    const int n = model.joint_count, triangle = triangle_size(n);
    for (int t = 0; t < steps; ++t) {
      const double own = smooth2 * ((t > 0) + (t + 1 < steps));
      const double *block = here.hessian + std::size_t(t) * triangle;
      for (int i = 0; i < n; ++i) {
        scale[t * n + i] = damping * (block[triangle_index(i, i)] + own);
      }
    }
  }

  int follow(const Problem &problem, const Options &options, Solution &out) {
    const double smooth2 = problem.weights.smooth * problem.weights.smooth;
    double *q = out.q;
    first_guess(problem, q);
    path.want(problem);
    double cost = path.linearise(q, here), damping = kFirstDamping, growth = 2.0;
    if (!__builtin_isfinite(cost)) return NOVAFLOW_TRAJOPT_DIVERGED;
    int spent = 0;
    while (spent < options.max_iterations) {
      ++spent;
      scale_by(damping, smooth2);
      if (!solve_banded(model.joint_count, steps, here.hessian, here.gradient, scale, smooth2,
                        columns, step)) {
        return NOVAFLOW_TRAJOPT_NOT_DEFINITE;
      }
      double predicted = 0.0, longest = 0.0;
      for (int k = 0; k < size; ++k) {
        q_trial[k] = q[k] + step[k];
        predicted += (scale[k] * step[k] - here.gradient[k]) * step[k];
        const double length = __builtin_fabs(step[k]);
        if (length > longest) longest = length;
      }
      const double cost_trial = path.linearise(q_trial, trial);
      const double gain = cost - cost_trial, ratio = gain / (0.5 * predicted);
      if (ratio > kAcceptedRatio) {
        const bool done = gain <= options.tolerance * cost;
        for (int k = 0; k < size; ++k) q[k] = q_trial[k];
        const PathModel accepted = trial;
        trial = here;
        here = accepted;
        cost = cost_trial;
        const double miss = 2.0 * ratio - 1.0, shrink = 1.0 - miss * miss * miss;
        damping *= shrink > 0.1 ? shrink : 0.1;
        if (damping < kLeastDamping) damping = kLeastDamping;
        growth = 2.0;
        if (done) break;
      } else {
        damping *= growth;
        growth *= 2.0;
        if (!(damping < kMostDamping && longest > kLeastStep)) break;
      }
    }
    for (int t = 0; t < steps; ++t) {
      out.position_error_m[t] = here.position_error[t];
      out.orientation_error_rad[t] = here.orientation_error[t];
      out.clearance_m[t] = here.clearance[t];
    }
    out.cost = cost;
    out.iterations = spent;
    return NOVAFLOW_TRAJOPT_OK;
  }
};

}  // namespace novaflow::trajopt::NOVAFLOW_TARGET
