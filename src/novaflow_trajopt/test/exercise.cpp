// Runs the whole interface on random arms and surroundings, for the sanitizers and without them:
// gradients against finite differences, a batch against single problems, threads, bad input.
// Exit status 0 if everything agreed.
#include <cmath>
#include <cstdio>
#include <cstring>
#include <limits>
#include <random>
#include <vector>

#include "novaflow_trajopt/novaflow_trajopt.h"

namespace {

using Numbers = std::vector<double>;

std::mt19937 random_engine(1);

double uniform(double low, double high) {
  return std::uniform_real_distribution<double>(low, high)(random_engine);
}

int failures = 0;

void expect(bool good, const char *what) {
  if (good) return;
  ++failures;
  std::fprintf(stderr, "FAILED: %s\n", what);
}

void append_pose(Numbers &out, double reach) {
  double a[3], b[3];
  for (int i = 0; i < 3; ++i) a[i] = uniform(-1, 1), b[i] = uniform(-1, 1);
  double length = std::sqrt(a[0] * a[0] + a[1] * a[1] + a[2] * a[2]);
  for (double &v : a) v /= length;
  const double along = a[0] * b[0] + a[1] * b[1] + a[2] * b[2];
  for (int i = 0; i < 3; ++i) b[i] -= along * a[i];
  length = std::sqrt(b[0] * b[0] + b[1] * b[1] + b[2] * b[2]);
  for (double &v : b) v /= length;
  const double c[3] = {a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2],
                       a[0] * b[1] - a[1] * b[0]};
  for (int i = 0; i < 3; ++i) {
    out.insert(out.end(), {a[i], b[i], c[i], uniform(-reach, reach)});
  }
  out.insert(out.end(), {0, 0, 0, 1});
}

struct Cell {
  int joints;
  Numbers T_parent_joint, axis, lower, upper, rest, T_last_tcp, capsule, T_box_base, box_half,
      obstacle;
  std::vector<uint8_t> revolute, meets;
  std::vector<int32_t> frame, pair;
  novaflow_trajopt_arm arm{};
  novaflow_trajopt_bodies bodies{};
  novaflow_trajopt_model *model = nullptr;

  Cell(int joints, int capsules, int boxes, int obstacles) : joints(joints) {
    for (int i = 0; i < joints; ++i) {
      append_pose(T_parent_joint, 0.3);
      Numbers turned;
      append_pose(turned, 0);
      const bool straight = i % 3 == 0;
      for (int k = 0; k < 3; ++k) axis.push_back(straight ? double(k == 2) : turned[4 * k]);
      revolute.push_back(uniform(0, 1) < 0.8);
      lower.push_back(uniform(-1.5, -0.5));
      upper.push_back(uniform(0.5, 1.5));
      rest.push_back(uniform(-0.4, 0.4));
    }
    append_pose(T_last_tcp, 0.2);
    for (int k = 0; k < capsules; ++k) {
      frame.push_back(k * (joints + 1) / capsules);
      const bool sphere = k % 4 == 3;
      double a[3];
      for (double &v : a) v = uniform(-0.15, 0.15);
      for (double v : a) capsule.push_back(v);
      for (double v : a) capsule.push_back(sphere ? v : uniform(-0.15, 0.15));
      capsule.push_back(uniform(0.01, 0.06));
      for (int j = 0; j < k; ++j) {
        if (frame[j] != frame[k]) pair.insert(pair.end(), {j, k});
      }
      for (int c = 0; c < 1 + boxes + obstacles; ++c) meets.push_back(uniform(0, 1) < 0.9);
    }
    for (int k = 0; k < boxes; ++k) {
      append_pose(T_box_base, 0.6);
      for (int i = 0; i < 3; ++i) box_half.push_back(uniform(0.02, 0.3));
    }
    for (int k = 0; k < obstacles; ++k) {
      for (int i = 0; i < 6; ++i) obstacle.push_back(uniform(-0.8, 0.8));
      obstacle.push_back(uniform(0.01, 0.1));
    }
    arm = {joints,       T_parent_joint.data(), axis.data(), revolute.data(),
           lower.data(), upper.data(),          rest.data(), T_last_tcp.data()};
    bodies = {int32_t(frame.size()),
              frame.data(),
              capsule.data(),
              int32_t(pair.size() / 2),
              pair.data(),
              1,
              {0.0, 0.0, 1.0, 0.5},
              boxes,
              T_box_base.data(),
              box_half.data(),
              obstacles,
              obstacle.data(),
              meets.data()};
    expect(novaflow_trajopt_model_create(&arm, &bodies, &model) == 0, "model");
  }
  Cell(const Cell &) = delete;
  Cell &operator=(const Cell &) = delete;
  ~Cell() { novaflow_trajopt_model_destroy(model); }
};

struct Task {
  Numbers poses, q, out, start, end;
  novaflow_trajopt_problem problem{};
  novaflow_trajopt_solution solution{};

  Task(const Cell &cell, int steps, bool guessed) {
    for (int t = 0; t < steps; ++t) append_pose(poses, 0.6);
    for (int k = 0; k < steps * cell.joints; ++k) q.push_back(uniform(-1.6, 1.6));
    start.assign(q.begin(), q.begin() + cell.joints);
    end.assign(q.end() - cell.joints, q.end());
    out.assign(std::size_t(steps) * (cell.joints + 3), 0.0);
    double *rest = out.data() + std::size_t(steps) * cell.joints;
    problem = {cell.model,
               steps,
               poses.data(),
               start.data(),
               end.data(),
               guessed ? q.data() : nullptr,
               {100, 10, 15, 0.1, 50, 10, 200, 40, 0.05}};
    solution = {out.data(), rest, rest + steps, rest + 2 * steps, 0, 0, 0};
  }
};

// Returns the share of the gradient that differs.
double compare_gradient(const Cell &cell) {
  constexpr int kSteps = 12;
  Task task(cell, kSteps, true);
  const int size = kSteps * cell.joints;
  Numbers gradient(size), unused(size), hessian(size * cell.joints);
  double cost = 0, plus = 0, minus = 0;
  expect(novaflow_trajopt_linearise(&task.problem, &cost, gradient.data(), hessian.data()) == 0,
         "linearise");
  // Orientation residuals have a Jacobian that is cut off after the second order: leave them out.
  task.problem.weights.orientation = task.problem.weights.end_orientation = 0.0;
  novaflow_trajopt_linearise(&task.problem, &cost, gradient.data(), hessian.data());
  const double h = 1e-6;
  int off = 0;
  for (int k = 0; k < size; ++k) {
    const double before = task.q[k];
    task.q[k] = before + h;
    novaflow_trajopt_linearise(&task.problem, &plus, unused.data(), hessian.data());
    task.q[k] = before - h;
    novaflow_trajopt_linearise(&task.problem, &minus, unused.data(), hessian.data());
    task.q[k] = before;
    const double numeric = (plus - minus) / (2 * h);
    off += std::fabs(numeric - gradient[k]) > 1e-3 * (1.0 + std::fabs(numeric));
  }
  return double(off) / size;
}

void compare_batch(const Cell &cell, int steps) {
  std::vector<Task> tasks;
  for (int k = 0; k < 5; ++k) tasks.emplace_back(cell, steps, k % 2 == 0);
  for (const int threads : {1, 3}) {
    std::vector<novaflow_trajopt_problem> problems;
    std::vector<novaflow_trajopt_solution> solutions;
    for (Task &task : tasks) {
      problems.push_back(task.problem);
      solutions.push_back(task.solution);
    }
    const novaflow_trajopt_options options = {15, 1e-4, threads};
    const int status = novaflow_trajopt_follow(problems.data(), solutions.data(), 5, &options);
    expect(status == 0, "batch");
    for (std::size_t k = 0; k < tasks.size(); ++k) {
      const Numbers together = tasks[k].out;
      novaflow_trajopt_follow(&problems[k], &tasks[k].solution, 1, &options);
      expect(together == tasks[k].out, "a batch equals single problems");
      expect(solutions[k].cost == tasks[k].solution.cost, "costs of a batch");
      double before = 0;
      if (!problems[k].q_initial) continue;
      Numbers gradient(tasks[k].q.size()), hessian(tasks[k].q.size() * cell.joints);
      novaflow_trajopt_linearise(&problems[k], &before, gradient.data(), hessian.data());
      expect(solutions[k].cost <= before, "the cost falls");
    }
  }
}

void refuse_bad_input(const Cell &cell) {
  Task task(cell, 4, false);
  const novaflow_trajopt_options options = {15, 1e-4, 1};
  const double nan = std::numeric_limits<double>::quiet_NaN();
  const auto status = [&] {
    return novaflow_trajopt_follow(&task.problem, &task.solution, 1, &options);
  };
  task.start[0] = nan;
  expect(status() == NOVAFLOW_TRAJOPT_NOT_FINITE, "NaN in q_start");
  task.start[0] = 0;
  task.poses[5] = std::numeric_limits<double>::infinity();
  expect(status() == NOVAFLOW_TRAJOPT_NOT_FINITE, "infinity in a pose");
  task.poses[5] = 0;
  task.problem.steps = 0;
  expect(status() == NOVAFLOW_TRAJOPT_BAD_VALUE, "no steps");
  task.problem.steps = 4;
  task.problem.weights.margin_m = 0;
  expect(status() == NOVAFLOW_TRAJOPT_BAD_VALUE, "no margin");
  novaflow_trajopt_bodies bodies = cell.bodies;
  std::vector<int32_t> frame(cell.frame);
  bodies.frame = frame.data();
  novaflow_trajopt_model *model = nullptr;
  if (!frame.empty()) {
    frame.back() = cell.joints + 1;
    expect(novaflow_trajopt_model_create(&cell.arm, &bodies, &model) == NOVAFLOW_TRAJOPT_BAD_VALUE,
           "a frame that does not exist");
  }
  novaflow_trajopt_arm arm = cell.arm;
  arm.joint_count = NOVAFLOW_TRAJOPT_MAX_JOINTS + 1;
  expect(novaflow_trajopt_model_create(&arm, &bodies, &model) == NOVAFLOW_TRAJOPT_BAD_VALUE,
         "too many joints");
}

}  // namespace

int main() {
  for (const char *target : {"avx512", "avx2", "portable"}) {
    if (novaflow_trajopt_use_target(target) != NOVAFLOW_TRAJOPT_OK) continue;
    double off = 0.0;
    for (const int joints : {1, 2, 6, 7, 8, 12, 16}) {
      Cell cell(joints, 3 * joints, 2, 2), bare(joints, 0, 0, 0);
      off += compare_gradient(cell) / 7;
      for (const int steps : {1, 2, 9, 41}) {
        compare_batch(cell, steps);
        compare_batch(bare, steps);
      }
      refuse_bad_input(cell);
      refuse_bad_input(bare);
      Numbers q(17 * joints, 0.1), clearance(17);
      for (const int count : {0, 1, 17}) {
        expect(novaflow_trajopt_clearance(cell.model, q.data(), count, 0.1, clearance.data()) == 0,
               "clearance");
      }
      expect(clearance[0] == clearance[16], "equal configurations, equal clearance");
    }
    std::printf("%s: done; %.1f %% of gradients off\n", target, 100 * off);
    // Distances have kinks, and a segment inside a box is met by its middle, not its deepest point.
    expect(off < 0.1, "gradient against finite differences");
  }
  return failures == 0 ? 0 : 1;
}
