// Kinematics of a serial chain.
//
//   R_i = R_{i-1} C_i Rz(q_i)   p_i = p_{i-1} + R_{i-1} t_i                    (revolute)
//   R_i = R_{i-1} C_i           p_i = p_{i-1} + R_{i-1} t_i + q_i z_i          (prismatic)
//
// The velocity of a point c that moves with frame f is  sum_{k<=f} (w_k x c + v_k) dq_k/dt  with
// the screw (w_k, v_k) = (z_k, p_k x z_k) of a revolute and (0, z_k) of a prismatic joint.
#pragma once

#include "model.hpp"
#include "vector3.hpp"

namespace novaflow::trajopt::NOVAFLOW_TARGET {

struct Frame {
  Vector3 x, y, z, origin;  // its axes and origin in the base frame

  Vector3 turn(const double *v) const { return x * v[0] + y * v[1] + z * v[2]; }
  Vector3 place(const double *v) const { return origin + turn(v); }
};

struct Chain {
  Frame frames[kMaxJoints + 1];
  Vector3 angular[kMaxJoints], linear[kMaxJoints];  // screws
};

inline void forward_kinematics(const Model &model, const Lanes *q, Chain &chain) {
  const Lanes one = all(1.0), zero = all(0.0);
  chain.frames[0] = {{one, zero, zero}, {zero, one, zero}, {zero, zero, one}, {zero, zero, zero}};
  for (int i = 0; i < model.joint_count; ++i) {
    const Joint &joint = model.joints[i];
    const Frame &before = chain.frames[i];
    Frame &frame = chain.frames[i + 1];
    const double *r = joint.rotation;
    const double columns[3][3] = {{r[0], r[3], r[6]}, {r[1], r[4], r[7]}, {r[2], r[5], r[8]}};
    const Vector3 x = before.turn(columns[0]), y = before.turn(columns[1]);
    frame.z = before.turn(columns[2]);
    frame.origin = before.place(joint.translation);
    if (joint.revolute) {
      Lanes sine, cosine;
      sincos(q[i], sine, cosine);
      frame.x = x * cosine + y * sine;
      frame.y = y * cosine - x * sine;
      chain.angular[i] = frame.z;
      chain.linear[i] = cross(frame.origin, frame.z);
    } else {
      frame.x = x;
      frame.y = y;
      frame.origin = frame.origin + frame.z * q[i];
      chain.angular[i] = {zero, zero, zero};
      chain.linear[i] = frame.z;
    }
  }
}

}  // namespace novaflow::trajopt::NOVAFLOW_TARGET
