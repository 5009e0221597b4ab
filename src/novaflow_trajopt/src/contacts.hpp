// Everything that comes closer than a margin, for kLanes configurations at once.
//
// Pairs are looked at in two stages: clusters of capsules by their bounding spheres, then capsules.
// What is left out is farther than the margin in every lane.
#pragma once

#include "chain.hpp"
#include "distances.hpp"

namespace novaflow::trajopt::NOVAFLOW_TARGET {

// Where the capsules are; those of a cluster are placed when something first comes near it.
class Bodies {
 public:
  static std::size_t bytes(const Model &model) {
    return sizeof(Segment) * model.capsule_count + sizeof(Vector3) * model.cluster_count +
           model.cluster_count + 64;
  }

  Bodies(const Model &model, void *memory)
      : model_(model),
        segments_(static_cast<Segment *>(memory)),
        centres_(reinterpret_cast<Vector3 *>(segments_ + model.capsule_count)),
        placed_(reinterpret_cast<bool *>(centres_ + model.cluster_count)) {}

  void move(const Chain &chain) {
    chain_ = &chain;
    for (int i = 0; i < model_.cluster_count; ++i) {
      const Cluster &cluster = model_.clusters[i];
      centres_[i] = chain.frames[cluster.frame].place(cluster.centre);
      placed_[i] = false;
    }
  }

  const Vector3 &centre(int cluster) const { return centres_[cluster]; }
  const Segment &segment(int capsule) const { return segments_[capsule]; }

  void place(int index) {
    if (placed_[index]) return;
    placed_[index] = true;
    const Cluster &cluster = model_.clusters[index];
    const Frame &frame = chain_->frames[cluster.frame];
    for (int k = cluster.first; k < cluster.last; ++k) {
      segments_[k] = {frame.place(model_.capsules[k].middle), frame.turn(model_.capsules[k].half)};
    }
  }

 private:
  const Model &model_;
  const Chain *chain_ = nullptr;
  Segment *segments_;
  Vector3 *centres_;
  bool *placed_;
};

// How far a point lies outside a centred box, squared.
inline Lanes squared_excess(Vector3 p, Vector3 h) {
  const Lanes zero = all(0.0);
  const Vector3 gap = {max(abs(p.x) - h.x, zero), max(abs(p.y) - h.y, zero),
                       max(abs(p.z) - h.z, zero)};
  return dot(gap, gap);
}

inline double squared(double a) { return a * a; }

// Calls visit(closest, first, last): moving `closest.point` along `closest.normal` increases the
// distance, and the joints first..last-1 move it; a negative `last` means that joints
// first..-last-1 move it the other way.
template <class Visit>
void visit_plane(const Model &model, Bodies &bodies, double margin, Visit &&visit) {
  const Vector3 normal = all3(model.plane);
  for (int i = 0; i < model.cluster_count; ++i) {
    const Cluster &cluster = model.clusters[i];
    const Lanes height = dot(bodies.centre(i), normal) + model.plane[3];
    if (!any_less(height, cluster.radius + margin)) continue;
    bodies.place(i);
    for (int c = cluster.first; c < cluster.last; ++c) {
      if (!model.meet(c, 0)) continue;
      Closest closest = segment_plane(bodies.segment(c), normal, model.plane[3]);
      closest.distance -= model.capsules[c].radius;
      if (any_less(closest.distance, margin)) visit(closest, 0, cluster.frame);
    }
  }
}

template <class Visit>
void visit_box(const Model &model, Bodies &bodies, int index, double margin, Visit &&visit) {
  const Box &box = model.boxes[index];
  const Vector3 half = all3(box.half), shift = all3(box.translation);
  for (int i = 0; i < model.cluster_count; ++i) {
    const Cluster &cluster = model.clusters[i];
    const Vector3 centre = rotate(box.rotation, bodies.centre(i)) + shift;
    if (!any_less(squared_excess(centre, half), squared(cluster.radius + margin))) continue;
    bodies.place(i);
    for (int c = cluster.first; c < cluster.last; ++c) {
      if (!model.meet(c, 1 + index)) continue;
      const Capsule &capsule = model.capsules[c];
      const Segment local = {rotate(box.rotation, bodies.segment(c).middle) + shift,
                             rotate(box.rotation, bodies.segment(c).half)};
      const double reach = capsule.half_length + capsule.radius + margin;
      if (!any_less(squared_excess(local.middle, half), squared(reach))) continue;
      Closest closest =
          capsule.half_length > 0 ? segment_box(local, half) : point_box(local.middle, half);
      closest.distance -= capsule.radius;
      if (!any_less(closest.distance, margin)) continue;
      closest.point = rotate_back(box.rotation, closest.point - shift);
      closest.normal = rotate_back(box.rotation, closest.normal);
      visit(closest, 0, cluster.frame);
    }
  }
}

template <class Visit>
void visit_obstacle(const Model &model, Bodies &bodies, int index, double margin, Visit &&visit) {
  const Capsule &obstacle = model.obstacles[index];
  const Segment fixed = {all3(obstacle.middle), all3(obstacle.half)};
  const double size = obstacle.half_length + obstacle.radius + margin;
  for (int i = 0; i < model.cluster_count; ++i) {
    const Cluster &cluster = model.clusters[i];
    const Vector3 apart = bodies.centre(i) - fixed.middle;
    if (!any_less(dot(apart, apart), squared(cluster.radius + size))) continue;
    bodies.place(i);
    for (int c = cluster.first; c < cluster.last; ++c) {
      if (!model.meet(c, 1 + model.box_count + index)) continue;
      const Capsule &capsule = model.capsules[c];
      const Vector3 gap = bodies.segment(c).middle - fixed.middle;
      const double reach = capsule.half_length + capsule.radius + size;
      if (!any_less(dot(gap, gap), squared(reach))) continue;
      Closest closest = segment_segment(fixed, bodies.segment(c));
      closest.distance -= capsule.radius + obstacle.radius;
      if (any_less(closest.distance, margin)) visit(closest, 0, cluster.frame);
    }
  }
}

// Moving both bodies by the joints that they share changes nothing: along the normal, the lever of
// the one's closest point equals that of the other's. What is left are the joints between them.
template <class Visit>
void visit_self(const Model &model, Bodies &bodies, double margin, Visit &&visit) {
  for (int k = 0; k < model.cluster_pair_count; ++k) {
    const ClusterPair &near = model.cluster_pairs[k];
    const Vector3 apart = bodies.centre(near.i) - bodies.centre(near.j);
    const double size = model.clusters[near.i].radius + model.clusters[near.j].radius + margin;
    if (!any_less(dot(apart, apart), squared(size))) continue;
    bodies.place(near.i);
    bodies.place(near.j);
    const int at_i = model.clusters[near.i].frame, at_j = model.clusters[near.j].frame;
    for (int p = near.first; p < near.last; ++p) {
      const CapsulePair pair = model.pairs[p];
      const Capsule &one = model.capsules[pair.i], &two = model.capsules[pair.j];
      const Segment &first = bodies.segment(pair.i), &second = bodies.segment(pair.j);
      const Vector3 gap = first.middle - second.middle;
      const double reach = one.half_length + one.radius + two.half_length + two.radius + margin;
      if (!any_less(dot(gap, gap), squared(reach))) continue;
      Closest closest = segment_segment(first, second);
      closest.distance -= one.radius + two.radius;
      if (!any_less(closest.distance, margin)) continue;
      if (at_i < at_j) {
        visit(closest, at_i, at_j);
      } else {
        visit(closest, at_j, -at_i);
      }
    }
  }
}

template <class Visit>
void visit_contacts(const Model &model, Bodies &bodies, double margin, Visit &&visit) {
  visit_self(model, bodies, margin, visit);
  if (model.has_plane) visit_plane(model, bodies, margin, visit);
  for (int k = 0; k < model.box_count; ++k) visit_box(model, bodies, k, margin, visit);
  for (int k = 0; k < model.obstacle_count; ++k) visit_obstacle(model, bodies, k, margin, visit);
}

}  // namespace novaflow::trajopt::NOVAFLOW_TARGET
