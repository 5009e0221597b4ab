// What the kernel reads of an arm and its surroundings: plain records, the same for every target.
#pragma once

#include <cstddef>
#include <cstdint>

#include "novaflow_trajopt/novaflow_trajopt.h"

namespace novaflow::trajopt {

constexpr int kMaxJoints = NOVAFLOW_TRAJOPT_MAX_JOINTS;

// Frames are turned such that every joint's axis is +z of its own frame; see `lay_out`.
struct Joint {
  double rotation[9];  // row-major, from this frame at zero to the one before
  double translation[3];
  bool revolute;
  double lower, upper, rest;
};

// Points `middle + s * half`, s in -1..1, in the capsule's frame.
struct Capsule {
  double middle[3], half[3];
  double half_length, radius;
};

// Neighbouring capsules of one frame inside one sphere: most are too far from everything to matter.
struct Cluster {
  double centre[3];
  double radius;
  int frame, first, last;  // capsules first..last-1
};

struct CapsulePair {
  int i, j;
};

// All capsule pairs between two clusters.
struct ClusterPair {
  int i, j, first, last;  // pairs first..last-1
};

struct Box {
  double rotation[9], translation[3], half[3];  // p_box = rotation p_base + translation
};

struct Model {
  int joint_count;
  Joint joints[kMaxJoints];
  double tcp_rotation[9], tcp_translation[3];
  int capsule_count, cluster_count, pair_count, cluster_pair_count, box_count, obstacle_count;
  const Capsule *capsules;
  const int *frames;  // of the capsules
  const Cluster *clusters;
  const CapsulePair *pairs;
  const ClusterPair *cluster_pairs;
  bool has_plane;
  double plane[4];
  const Box *boxes;
  const Capsule *obstacles;
  const uint8_t *meets;  // (capsule_count, 1 + box_count + obstacle_count)

  bool meet(int capsule, int column) const {
    return meets[std::size_t(capsule) * (1 + box_count + obstacle_count) + column] != 0;
  }
};

using Problem = novaflow_trajopt_problem;
using Solution = novaflow_trajopt_solution;
using Options = novaflow_trajopt_options;
using Weights = novaflow_trajopt_weights;

// The kernel compiled for one instruction set.
struct Target {
  const char *name;
  int lanes;
  std::size_t (*workspace_bytes)(const Model &, int steps);
  int (*follow)(const Model &, const Problem &, const Options &, void *workspace, Solution &);
  void (*linearise)(const Model &, const Problem &, void *workspace, double *cost, double *gradient,
                    double *hessian);
  void (*clearance)(const Model &, const double *q, int64_t count, double cap, void *workspace,
                    double *out);
};

}  // namespace novaflow::trajopt
