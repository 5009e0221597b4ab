// The objective of flow following and its Gauss-Newton model.
//
//   f(q) = 1/2 sum_t |r_t(q_t)|^2 + 1/2 sum_t w_smooth^2 |q_{t+1} - q_t|^2
//
// with the residuals of a step
//
//   w_p (p - p*)                      position of the TCP
//   w_o log(R R*^T)                   orientation of the TCP
//   w_limit max(q - upper, 0) - max(lower - q, 0)
//   w_rest (q - rest)
//   w_collision b(d)                  of every contact at distance d, with the barrier
//                                     b = margin / 2 - d          for d < 0
//                                         (d - margin)^2 / (2 margin)  up to the margin, then 0.
//
// All but smoothness touch one step only, so that the normal equations are block-tridiagonal.
#pragma once

#include "contacts.hpp"
#include "rotation_log.hpp"

namespace novaflow::trajopt::NOVAFLOW_TARGET {

constexpr int kMaxTriangle = kMaxJoints * (kMaxJoints + 1) / 2;

inline int triangle_size(int n) { return n * (n + 1) / 2; }
inline int triangle_index(int i, int j) { return i * (i + 1) / 2 + j; }  // j <= i

// What a step should do, for kLanes steps.
struct Wanted {
  Vector3 rows[3];  // of the rotation
  Vector3 position;
  Lanes position_weight, orientation_weight;
};

// The objective's part of kLanes steps, smoothness excluded.
struct StepModel {
  Lanes twice_cost, gradient[kMaxJoints], hessian[kMaxTriangle];
  Lanes position_error, orientation_error, clearance;
};

// Adds one contact's residual w b(d) with the row  J_k = w b'(d) ((c x n) . w_k + n . v_k).
struct ContactTerm {
  const Chain &chain;
  double weight, margin;
  StepModel &out;

  __attribute__((noinline)) void operator()(const Closest &contact, int first, int last) {
    out.clearance = min(out.clearance, contact.distance);
    const Lanes d = min(contact.distance, all(margin));
    const Mask inside = d < 0.0;
    const double bend = 0.5 / margin;
    const Lanes from_edge = d - margin;
    const Lanes residual = weight * select(inside, 0.5 * margin - d, bend * from_edge * from_edge);
    Lanes slope = weight * select(inside, all(-1.0), 2.0 * bend * from_edge);
    if (last < 0) {
      last = -last;
      slope = -slope;
    }
    out.twice_cost += residual * residual;
    const Vector3 direction = contact.normal * slope;
    const Vector3 moment = cross(contact.point, direction);
    Lanes row[kMaxJoints];
    for (int k = first; k < last; ++k) {
      row[k] = dot(moment, chain.angular[k]) + dot(direction, chain.linear[k]);
      out.gradient[k] += row[k] * residual;
    }
    for (int i = first; i < last; ++i) {
      Lanes *hessian = out.hessian + triangle_index(i, 0);
      for (int j = first; j <= i; ++j) hessian[j] += row[i] * row[j];
    }
  }
};

inline void add_tracking(const Model &model, const Chain &chain, const Wanted &wanted,
                         StepModel &out) {
  const Frame &last = chain.frames[model.joint_count];
  const double *r = model.tcp_rotation;
  const double columns[3][3] = {{r[0], r[3], r[6]}, {r[1], r[4], r[7]}, {r[2], r[5], r[8]}};
  const Vector3 tcp = last.place(model.tcp_translation);
  const Vector3 offset = tcp - wanted.position;
  const Vector3 angle =
      log_between(last.turn(columns[0]), last.turn(columns[1]), last.turn(columns[2]), wanted.rows);
  const Lanes offset2 = dot(offset, offset), angle2 = dot(angle, angle);
  out.position_error = sqrt(offset2);
  out.orientation_error = sqrt(angle2);
  const Lanes wp = wanted.position_weight, wo = wanted.orientation_weight;
  out.twice_cost += wp * wp * offset2 + wo * wo * angle2;
  Vector3 linear[kMaxJoints], angular[kMaxJoints];
  const Vector3 offset_w = offset * wp, angle_w = angle * wo;
  for (int i = 0; i < model.joint_count; ++i) {
    const Vector3 turn = chain.angular[i];
    linear[i] = (cross(turn, tcp) + chain.linear[i]) * wp;
    // d log(R) = (I - [a] / 2 + [a]^2 / 12 - ...) w
    const Vector3 once = cross(angle, turn), twice = cross(angle, once);
    angular[i] = (turn - once * 0.5 + twice * (1.0 / 12.0)) * wo;
    out.gradient[i] += dot(linear[i], offset_w) + dot(angular[i], angle_w);
    Lanes *hessian = out.hessian + triangle_index(i, 0);
    for (int j = 0; j <= i; ++j) {
      hessian[j] += dot(linear[i], linear[j]) + dot(angular[i], angular[j]);
    }
  }
}

inline void linearise_steps(const Model &model, const Weights &weights, const Lanes *q,
                            const Wanted &wanted, Bodies &bodies, StepModel &out) {
  const int n = model.joint_count;
  const double limit2 = weights.limit * weights.limit, rest2 = weights.rest * weights.rest;
  Chain chain;
  forward_kinematics(model, q, chain);
  out.twice_cost = all(0.0);
  out.clearance = all(weights.margin_m);
  for (int k = 0; k < triangle_size(n); ++k) out.hessian[k] = all(0.0);
  for (int i = 0; i < n; ++i) {
    const Joint &joint = model.joints[i];
    const Lanes outside = max(q[i] - joint.upper, all(0.0)) - max(joint.lower - q[i], all(0.0));
    const Lanes away = q[i] - joint.rest;
    out.twice_cost += limit2 * outside * outside + rest2 * away * away;
    out.gradient[i] = limit2 * outside + rest2 * away;
    out.hessian[triangle_index(i, i)] = select(outside != 0.0, all(limit2 + rest2), all(rest2));
  }
  add_tracking(model, chain, wanted, out);
  bodies.move(chain);
  ContactTerm term{chain, weights.collision, weights.margin_m, out};
  visit_contacts(model, bodies, weights.margin_m, term);
}

}  // namespace novaflow::trajopt::NOVAFLOW_TARGET
