// The C interface: checks its arguments, chooses the instruction set, owns the memory.
#include <algorithm>
#include <atomic>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <new>
#include <thread>
#include <vector>

#include "layout.hpp"
#include "novaflow_trajopt/novaflow_trajopt.h"

struct novaflow_trajopt_model {
  novaflow::trajopt::OwnedModel owned;
};

namespace novaflow::trajopt {

extern const Target kPortable;
#ifdef NOVAFLOW_TRAJOPT_X86
extern const Target kAvx2;
extern const Target kAvx512;
#endif

namespace {

constexpr int kMostSteps = 1 << 20;

std::vector<const Target *> supported_targets() {
  std::vector<const Target *> out;
#ifdef NOVAFLOW_TRAJOPT_X86
  __builtin_cpu_init();
  const bool fma = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
  if (fma && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq") &&
      __builtin_cpu_supports("avx512vl")) {
    out.push_back(&kAvx512);
  }
  if (fma) out.push_back(&kAvx2);
#endif
  out.push_back(&kPortable);
  return out;
}

std::atomic<const Target *> &chosen() {
  static std::atomic<const Target *> target{supported_targets().front()};
  return target;
}

// Memory of one thread: grows, and stays for its next problem.
class Workspace {
 public:
  void *at_least(std::size_t bytes) {
    if (bytes > size_) {
      memory_.reset();
      size_ = 0;
      memory_.reset(static_cast<char *>(::operator new(bytes, std::align_val_t{64})));
      size_ = bytes;
    }
    return memory_.get();
  }

 private:
  struct Free {
    void operator()(char *memory) const { ::operator delete(memory, std::align_val_t{64}); }
  };
  std::unique_ptr<char, Free> memory_;
  std::size_t size_ = 0;
};

Workspace &workspace() {
  static thread_local Workspace mine;
  return mine;
}

int check(const Problem &problem) {
  if (!problem.model || problem.steps < 1 || problem.steps > kMostSteps) {
    return NOVAFLOW_TRAJOPT_BAD_VALUE;
  }
  const std::size_t steps = problem.steps, n = problem.model->owned.view.joint_count;
  const Weights &w = problem.weights;
  const double weights[] = {w.limit,       w.smooth,       w.collision,       w.rest,    w.position,
                            w.orientation, w.end_position, w.end_orientation, w.margin_m};
  if (!all_finite(weights, 9) || !all_finite(problem.T_base_tcp, 16 * steps)) {
    return NOVAFLOW_TRAJOPT_NOT_FINITE;
  }
  if (*std::min_element(weights, weights + 8) < 0.0 || !(w.margin_m > 0.0)) {
    return NOVAFLOW_TRAJOPT_BAD_VALUE;
  }
  const bool finite = problem.q_initial
                          ? all_finite(problem.q_initial, steps * n)
                          : all_finite(problem.q_start, n) && all_finite(problem.q_end, n);
  return finite ? NOVAFLOW_TRAJOPT_OK : NOVAFLOW_TRAJOPT_NOT_FINITE;
}

int follow_one(const Target &target, const Problem &problem, const Options &options,
               Solution &solution) {
  const int status = check(problem);
  if (status != NOVAFLOW_TRAJOPT_OK) return status;
  const Model &model = problem.model->owned.view;
  try {
    void *memory = workspace().at_least(target.workspace_bytes(model, problem.steps));
    return target.follow(model, problem, options, memory, solution);
  } catch (const std::bad_alloc &) {
    return NOVAFLOW_TRAJOPT_NO_MEMORY;
  }
}

}  // namespace
}  // namespace novaflow::trajopt

using namespace novaflow::trajopt;

int32_t novaflow_trajopt_version(void) { return NOVAFLOW_TRAJOPT_VERSION; }

const char *novaflow_trajopt_target(int32_t *lanes) {
  const Target *target = chosen();
  if (lanes) *lanes = target->lanes;
  return target->name;
}

int32_t novaflow_trajopt_use_target(const char *name) {
  for (const Target *target : supported_targets()) {
    if (std::strcmp(target->name, name) == 0) {
      chosen() = target;
      return NOVAFLOW_TRAJOPT_OK;
    }
  }
  return NOVAFLOW_TRAJOPT_BAD_VALUE;
}

int32_t novaflow_trajopt_model_create(const novaflow_trajopt_arm *arm,
                                      const novaflow_trajopt_bodies *bodies,
                                      novaflow_trajopt_model **model) {
  *model = nullptr;
  const int status = check(*arm, *bodies);
  if (status != NOVAFLOW_TRAJOPT_OK) return status;
  try {
    auto made = std::make_unique<novaflow_trajopt_model>();
    lay_out(*arm, *bodies, made->owned);
    *model = made.release();
  } catch (const std::bad_alloc &) {
    return NOVAFLOW_TRAJOPT_NO_MEMORY;
  }
  return NOVAFLOW_TRAJOPT_OK;
}

void novaflow_trajopt_model_destroy(novaflow_trajopt_model *model) { delete model; }

int32_t novaflow_trajopt_follow(const novaflow_trajopt_problem *problems,
                                novaflow_trajopt_solution *solutions, int32_t count,
                                const novaflow_trajopt_options *options) {
  if (count < 0 || options->max_iterations < 1 || options->threads < 1 ||
      !std::isfinite(options->tolerance)) {
    return NOVAFLOW_TRAJOPT_BAD_VALUE;
  }
  const Target &target = *chosen().load();
  std::atomic<int32_t> next{0};
  const auto work = [&] {
    for (int32_t k = next++; k < count; k = next++) {
      solutions[k].status = follow_one(target, problems[k], *options, solutions[k]);
    }
  };
  std::vector<std::thread> others;
  try {
    for (int32_t k = 1; k < std::min(options->threads, count); ++k) others.emplace_back(work);
  } catch (const std::exception &) {
    // fewer threads than asked for: this one does the rest
  }
  work();
  for (std::thread &other : others) other.join();
  for (int32_t k = 0; k < count; ++k) {
    if (solutions[k].status != NOVAFLOW_TRAJOPT_OK) return solutions[k].status;
  }
  return NOVAFLOW_TRAJOPT_OK;
}

int32_t novaflow_trajopt_linearise(const novaflow_trajopt_problem *problem, double *cost,
                                   double *gradient, double *hessian) {
  if (!problem->q_initial) return NOVAFLOW_TRAJOPT_BAD_VALUE;
  const int status = check(*problem);
  if (status != NOVAFLOW_TRAJOPT_OK) return status;
  const Target &target = *chosen().load();
  const Model &model = problem->model->owned.view;
  try {
    void *memory = workspace().at_least(target.workspace_bytes(model, problem->steps));
    target.linearise(model, *problem, memory, cost, gradient, hessian);
  } catch (const std::bad_alloc &) {
    return NOVAFLOW_TRAJOPT_NO_MEMORY;
  }
  return NOVAFLOW_TRAJOPT_OK;
}

int32_t novaflow_trajopt_clearance(const novaflow_trajopt_model *model, const double *q,
                                   int64_t count, double cap, double *clearance) {
  if (!model || count < 0) return NOVAFLOW_TRAJOPT_BAD_VALUE;
  const Model &view = model->owned.view;
  if (!std::isfinite(cap) || !all_finite(q, std::size_t(count) * view.joint_count)) {
    return NOVAFLOW_TRAJOPT_NOT_FINITE;
  }
  const Target &target = *chosen().load();
  try {
    void *memory = workspace().at_least(target.workspace_bytes(view, 1));
    target.clearance(view, q, count, cap, memory, clearance);
  } catch (const std::bad_alloc &) {
    return NOVAFLOW_TRAJOPT_NO_MEMORY;
  }
  return NOVAFLOW_TRAJOPT_OK;
}
