// Exact distances. A capsule is a segment with a radius; radii are subtracted by the caller.
#pragma once

#include "vector3.hpp"

namespace novaflow::trajopt::NOVAFLOW_TARGET {

struct Segment {
  Vector3 middle, half;  // middle + s half, s in -1..1

  Vector3 start() const { return middle - half; }
  Vector3 end() const { return middle + half; }
};

struct Closest {
  Lanes distance;  // negative inside a box
  Vector3 point;   // on the segment
  Vector3 normal;  // unit, out of the obstacle
};

// Distance of a point to a box that is centred and aligned with the axes:
//   |p - clip(p, -h, h)| outside, -min_i (h_i - |p_i|) inside.
inline Closest point_box(Vector3 p, Vector3 h) {
  const Vector3 magnitude = {abs(p.x), abs(p.y), abs(p.z)};
  const Vector3 depth = h - magnitude;
  const Lanes zero = all(0.0);
  const Vector3 gap = {max(-depth.x, zero), max(-depth.y, zero), max(-depth.z, zero)};
  const Lanes distance = sqrt(dot(gap, gap));
  const Mask outside = distance > 1e-9;
  const Lanes scale = 1.0 / select(outside, distance, all(1.0));
  const Lanes shallowest = min(depth.x, min(depth.y, depth.z));
  const Mask on_x = depth.x <= shallowest;
  const Mask on_y = ~on_x & (depth.y <= shallowest);
  const auto component = [&](Lanes value, Lanes excess, Mask mine) {
    const Lanes size = select(outside, excess * scale, select(mine, all(1.0), zero));
    return select(value < 0.0, -size, size);
  };
  return {select(outside, distance, -shallowest),
          p,
          {component(p.x, gap.x, on_x), component(p.y, gap.y, on_y),
           component(p.z, gap.z, ~(on_x | on_y))}};
}

// Distance of a segment a + t d, t in 0..1, to such a box. With e(t) the excess of a + t d over the
// box, f(t) = |e(t)|^2 / 2 is convex and f'(t) = e(t) . d is continuous, does not fall, and is
// linear between the six t at which the segment crosses a face's plane. The minimum is where f'
// vanishes: on a whole interval [u, v] where the segment is parallel to a face, or inside; its
// middle then stands for it.
inline Closest segment_box(const Segment &segment, Vector3 h) {
  const Vector3 a = segment.start(), d = segment.half * 2.0;
  const Lanes zero = all(0.0), one = all(1.0);
  constexpr double kFlat = 1e-12;
  // The breaks around u: the last with f' < 0 and the first after it; around v: mirrored.
  Lanes u0 = zero, u0_slope = zero, u1 = one, u1_slope = zero;
  Lanes v0 = zero, v0_slope = zero, v1 = one, v1_slope = zero;
  const auto look_at = [&](Lanes t) {
    const auto excess = [](Lanes value, Lanes half) {
      return value - min(max(value, -half), half);
    };
    const Lanes slope = excess(a.x + t * d.x, h.x) * d.x + excess(a.y + t * d.y, h.y) * d.y +
                        excess(a.z + t * d.z, h.z) * d.z;
    const Mask falls = slope<-kFlat, rises = slope> kFlat;
    const Mask new_u0 = falls & (t >= u0), new_u1 = ~falls & (t <= u1);
    const Mask new_v0 = ~rises & (t >= v0), new_v1 = rises & (t <= v1);
    u0 = select(new_u0, t, u0), u0_slope = select(new_u0, slope, u0_slope);
    u1 = select(new_u1, t, u1), u1_slope = select(new_u1, slope, u1_slope);
    v0 = select(new_v0, t, v0), v0_slope = select(new_v0, slope, v0_slope);
    v1 = select(new_v1, t, v1), v1_slope = select(new_v1, slope, v1_slope);
  };
  const auto crossings = [&](Lanes start, Lanes direction, Lanes half) {
    const Lanes inverse = 1.0 / select(abs(direction) < 1e-9, all(1e-9), direction);
    look_at(clamp((half - start) * inverse, 0.0, 1.0));
    look_at(clamp((-half - start) * inverse, 0.0, 1.0));
  };
  look_at(zero);
  look_at(one);
  crossings(a.x, d.x, h.x);
  crossings(a.y, d.y, h.y);
  crossings(a.z, d.z, h.z);
  const auto root = [&](Lanes t0, Lanes s0, Lanes t1, Lanes s1) {
    const Lanes rise = s1 - s0;
    const Lanes share = select(rise > 1e-15, -s0 / select(rise > 1e-15, rise, one), zero);
    return t0 + clamp(share, 0.0, 1.0) * (t1 - t0);
  };
  // No break falls: u = 0. All fall: u = 1. Likewise for v.
  const Lanes u = select(u0_slope < -kFlat, root(u0, u0_slope, u1, u1_slope), zero);
  const Lanes v = select(v1_slope > kFlat, root(v0, v0_slope, v1, v1_slope), one);
  return point_box(a + d * (0.5 * (u + v)), h);
}

// Lower end of a segment over the plane n . p + offset = 0.
inline Closest segment_plane(const Segment &segment, Vector3 normal, double offset) {
  const Vector3 a = segment.start(), b = segment.end();
  const Lanes at_a = dot(a, normal) + offset, at_b = dot(b, normal) + offset;
  const Mask lower = at_a < at_b;
  return {select(lower, at_a, at_b), select(lower, a, b), normal};
}

// Closest points of two segments; the normal points from the first to the second, and `point` is on
// the second. Source: Ericson, Real-Time Collision Detection, sec. 5.1.9 (the method).
inline Closest segment_segment(const Segment &first, const Segment &second) {
  const Vector3 a1 = first.start(), d1 = first.half * 2.0;
  const Vector3 a2 = second.start(), d2 = second.half * 2.0;
  const Vector3 r = a1 - a2;
  const Lanes e1 = dot(d1, d1) + 1e-12, e2 = dot(d2, d2) + 1e-12;
  const Lanes f = dot(d2, r), c = dot(d1, r), k = dot(d1, d2);
  const Lanes denominator = e1 * e2 - k * k;
  const Mask skew = denominator > 1e-9 * e1 * e2;
  const Lanes inverse = 1.0 / select(skew, denominator, all(1.0));
  Lanes s = select(skew, clamp((k * f - c * e2) * inverse, 0.0, 1.0), all(0.0));
  Lanes t = (k * s + f) / e2;
  const Lanes inverse1 = 1.0 / e1;
  s = select(t < 0.0, clamp(-c * inverse1, 0.0, 1.0),
             select(t > 1.0, clamp((k - c) * inverse1, 0.0, 1.0), s));
  t = clamp(t, 0.0, 1.0);
  const Vector3 p1 = a1 + d1 * s, p2 = a2 + d2 * t, gap = p2 - p1;
  const Lanes distance = sqrt(dot(gap, gap));
  return {distance, p2, gap * (1.0 / max(distance, all(1e-9)))};
}

}  // namespace novaflow::trajopt::NOVAFLOW_TARGET
