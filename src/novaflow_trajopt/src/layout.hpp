// From the caller's tables to the kernel's model.
#pragma once

#include <vector>

#include "model.hpp"

namespace novaflow::trajopt {

// A model together with the memory that its pointers look at.
struct OwnedModel {
  Model view{};
  std::vector<Capsule> capsules, obstacles;
  std::vector<int> frames;
  std::vector<Cluster> clusters;
  std::vector<CapsulePair> pairs;
  std::vector<ClusterPair> cluster_pairs;
  std::vector<Box> boxes;
  std::vector<uint8_t> meets;
};

// Both return a status; the first looks at every number, the second trusts them.
int check(const novaflow_trajopt_arm &arm, const novaflow_trajopt_bodies &bodies);
void lay_out(const novaflow_trajopt_arm &arm, const novaflow_trajopt_bodies &bodies,
             OwnedModel &model);

bool all_finite(const double *values, std::size_t count);

}  // namespace novaflow::trajopt
