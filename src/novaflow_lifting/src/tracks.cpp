// Poses and strains from tracks: Gauss-Newton on reprojection errors.
#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <new>
#include <vector>

#include "novaflow_lifting/novaflow_lifting.h"

namespace {

using Tracks = novaflow_lifting_tracks;

constexpr int kTwist = 6;    // x y z [m] and rotations [rad] about the points' middle
constexpr int kStrain = 12;  // the same, and a symmetric strain
constexpr int kSample = NOVAFLOW_LIFTING_LEAST;
constexpr int kSamples = 120;      // at most
constexpr double kSure = 0.99;     // that one of the samples was all right
constexpr int kSteps = 10;         // of a fit at most
constexpr double kSmallPx = 0.01;  // a step that moves every pixel by less is the last
constexpr double kNearestM = 1e-3;
constexpr double kDamping = 1e-6;

// For strains: scatters at which a track has no say; the least scatter; tracks that share an error.
constexpr double kCut = 4.0, kLeastScatterPx = 0.5, kShared = 20.0;
constexpr int kReweighted = 3;
// Standard deviations before anything is seen: place [m], rotation [rad], strains in the first
// image's plane, and strains that measuring its depth wrong would look like.
constexpr double kPlaceM = 0.03, kTurnRad = 0.3, kInPlane = 0.5, kInDepth = 0.3;
constexpr int kAxes[6][2] = {{0, 0}, {1, 1}, {0, 1}, {2, 2}, {0, 2}, {1, 2}};

struct Vector3 {
  double x, y, z;
};

Vector3 operator+(Vector3 a, Vector3 b) { return {a.x + b.x, a.y + b.y, a.z + b.z}; }
Vector3 operator-(Vector3 a, Vector3 b) { return {a.x - b.x, a.y - b.y, a.z - b.z}; }

struct Rotation {
  double m[3][3];

  Vector3 operator*(Vector3 p) const {
    return {m[0][0] * p.x + m[0][1] * p.y + m[0][2] * p.z,
            m[1][0] * p.x + m[1][1] * p.y + m[1][2] * p.z,
            m[2][0] * p.x + m[2][1] * p.y + m[2][2] * p.z};
  }

  Rotation operator*(const Rotation &other) const {
    Rotation out{};
    for (int i = 0; i < 3; ++i) {
      for (int j = 0; j < 3; ++j) {
        for (int k = 0; k < 3; ++k) out.m[i][j] += m[i][k] * other.m[k][j];
      }
    }
    return out;
  }
};

// Rodrigues' formula, of a rotation vector [rad].
Rotation exponential(Vector3 w) {
  const double angle = std::sqrt(w.x * w.x + w.y * w.y + w.z * w.z);
  const double half = std::sin(0.5 * angle);
  const double a = angle > 1e-12 ? std::sin(angle) / angle : 1.0;
  const double b = angle > 1e-12 ? 2.0 * half * half / (angle * angle) : 0.5;
  const double c = std::cos(angle);
  return {{{c + b * w.x * w.x, b * w.x * w.y - a * w.z, b * w.x * w.z + a * w.y},
           {b * w.x * w.y + a * w.z, c + b * w.y * w.y, b * w.y * w.z - a * w.x},
           {b * w.x * w.z - a * w.y, b * w.y * w.z + a * w.x, c + b * w.z * w.z}}};
}

// Where the points are: turned about their middle, which is then at `at`.
struct Pose {
  Rotation turn;
  Vector3 at;

  void move(const double *twist) {
    at = at + Vector3{twist[0], twist[1], twist[2]};
    turn = exponential({twist[3], twist[4], twist[5]}) * turn;
  }
};

// Change of a pixel (u, v) with its point's place.
struct Slopes {
  double u_x, u_z, v_y, v_z;
};

// All tracks, about the points' middle.
class Problem {
 public:
  explicit Problem(const Tracks &tracks) : tracks_(tracks), arms_(tracks.count) {
    middle_ = {0, 0, 0};
    for (int i = 0; i < tracks.count; ++i) middle_ = middle_ + point(i);
    const double n = tracks.count;
    middle_ = {middle_.x / n, middle_.y / n, middle_.z / n};
    for (int i = 0; i < tracks.count; ++i) arms_[i] = point(i) - middle_;
  }

  int count() const { return tracks_.count; }
  Vector3 arm(int i) const { return arms_[i]; }

  Pose pose(const double *motion) const {
    Pose out{};
    for (int i = 0; i < 3; ++i) std::copy_n(motion + 4 * i, 3, out.turn.m[i]);
    out.at = out.turn * middle_ + Vector3{motion[3], motion[7], motion[11]};
    return out;
  }

  void write(const Pose &pose, double *motion) const {
    const Vector3 shift = pose.at - pose.turn * middle_;
    for (int i = 0; i < 3; ++i) std::copy_n(pose.turn.m[i], 3, motion + 4 * i);
    motion[3] = shift.x, motion[7] = shift.y, motion[11] = shift.z;
    motion[12] = motion[13] = motion[14] = 0, motion[15] = 1;
  }

  // How far a track is from a point seen from its turned arm, in pixels; false behind the camera.
  bool left(int i, Vector3 turned, const Pose &pose, double &du, double &dv, Slopes &slopes) const {
    const Vector3 p = turned + pose.at;
    const double inverse = 1.0 / std::max(p.z, kNearestM);
    const double u = p.x * inverse, v = p.y * inverse;
    du = tracks_.pixels[2 * i] - tracks_.cx - tracks_.fx * u;
    dv = tracks_.pixels[2 * i + 1] - tracks_.cy - tracks_.fy * v;
    slopes = {tracks_.fx * inverse, -tracks_.fx * inverse * u, tracks_.fy * inverse,
              -tracks_.fy * inverse * v};
    return p.z > kNearestM;
  }

  bool agrees(int i, const Pose &pose, double within_px) const {
    double du, dv;
    Slopes slopes;
    return left(i, pose.turn * arms_[i], pose, du, dv, slopes) &&
           du * du + dv * dv < within_px * within_px;
  }

 private:
  Vector3 point(int i) const {
    const double *p = tracks_.points + 3 * i;
    return {p[0], p[1], p[2]};
  }

  const Tracks &tracks_;
  std::vector<Vector3> arms_;
  Vector3 middle_{};
};

// Normal equations of N unknowns; the lower triangle.
template <int N>
struct Normal {
  std::array<double, N * N> a{};
  std::array<double, N> b{};

  void add(const double *row, double left, double weight) {
    for (int i = 0; i < N; ++i) {
      const double scaled = weight * row[i];
      for (int j = 0; j <= i; ++j) a[N * i + j] += scaled * row[j];
      b[i] += scaled * left;
    }
  }

  // Cholesky factor in place of the lower triangle; false if there is none.
  bool factorise() {
    for (int i = 0; i < N; ++i) {
      for (int j = 0; j <= i; ++j) {
        double sum = a[N * i + j];
        for (int k = 0; k < j; ++k) sum -= a[N * i + k] * a[N * j + k];
        if (i != j) {
          a[N * i + j] = sum / a[N * j + j];
        } else if (sum > 0) {
          a[N * i + i] = std::sqrt(sum);
        } else {
          return false;
        }
      }
    }
    return true;
  }

  // Solution for a right side, after `factorise`.
  std::array<double, N> solve(std::array<double, N> x) const {
    for (int i = 0; i < N; ++i) {
      for (int k = 0; k < i; ++k) x[i] -= a[N * i + k] * x[k];
      x[i] /= a[N * i + i];
    }
    for (int i = N - 1; i >= 0; --i) {
      for (int k = i + 1; k < N; ++k) x[i] -= a[N * k + i] * x[k];
      x[i] /= a[N * i + i];
    }
    return x;
  }
};

// Derivatives of u and v with a twist about the points' middle.
void twist_rows(Vector3 arm, const Slopes &s, double *u, double *v) {
  u[0] = s.u_x, u[1] = 0, u[2] = s.u_z;
  u[3] = arm.y * s.u_z, u[4] = arm.z * s.u_x - arm.x * s.u_z, u[5] = -arm.y * s.u_x;
  v[0] = 0, v[1] = s.v_y, v[2] = s.v_z;
  v[3] = arm.y * s.v_z - arm.z * s.v_y, v[4] = -arm.x * s.v_z, v[5] = arm.x * s.v_y;
}

// Least squares over some tracks, from a pose near; false where they do not fix it.
bool settle(const Problem &problem, const int *chosen, int count, Pose &pose) {
  for (int step = 0; step < kSteps; ++step) {
    Normal<kTwist> normal;
    double reach = 0, slope = 0;
    for (int k = 0; k < count; ++k) {
      const int i = chosen[k];
      const Vector3 arm = pose.turn * problem.arm(i);
      double du, dv, u[kTwist], v[kTwist];
      Slopes slopes;
      if (!problem.left(i, arm, pose, du, dv, slopes)) return false;
      twist_rows(arm, slopes, u, v);
      normal.add(u, du, 1.0);
      normal.add(v, dv, 1.0);
      reach = std::max(reach, arm.x * arm.x + arm.y * arm.y + arm.z * arm.z);
      slope = std::max({slope, slopes.u_x, slopes.v_y});
    }
    for (int i = 0; i < kTwist; ++i) normal.a[kTwist * i + i] += kDamping;
    if (!normal.factorise()) return false;
    const auto twist = normal.solve(normal.b);
    pose.move(twist.data());
    const double moved = std::hypot(twist[0], twist[1], twist[2]) +
                         std::sqrt(reach) * std::hypot(twist[3], twist[4], twist[5]);
    if (!(moved < 1e3)) return false;
    if (slope * moved < kSmallPx) break;
  }
  return true;
}

// Small and the same everywhere (xorshift, G. Marsaglia 2003).
class Random {
 public:
  explicit Random(uint32_t seed) : state_(0x9E3779B9u ^ (seed * 2654435761u)) {
    if (state_ == 0) state_ = 1;
  }

  int below(int n) {
    state_ ^= state_ << 13;
    state_ ^= state_ >> 17;
    state_ ^= state_ << 5;
    return static_cast<int>(state_ % static_cast<uint32_t>(n));
  }

 private:
  uint32_t state_;
};

void sample(Random &random, int n, int *chosen) {
  for (int k = 0; k < kSample; ++k) {
    do {
      chosen[k] = random.below(n);
    } while (std::find(chosen, chosen + k, chosen[k]) != chosen + k);
  }
}

std::vector<int> agreeing(const Problem &problem, const Pose &pose, double within_px) {
  std::vector<int> out;
  out.reserve(problem.count());
  for (int i = 0; i < problem.count(); ++i) {
    if (problem.agrees(i, pose, within_px)) out.push_back(i);
  }
  return out;
}

// Samples that are needed to be sure that one is all right, when a share of the tracks is.
int samples_for(double share) {
  const double good = std::pow(share, kSample);
  if (good >= kSure) return 1;
  if (good < 1e-9) return kSamples;
  return static_cast<int>(std::min<double>(kSamples, std::log(1 - kSure) / std::log(1 - good) + 1));
}

int fit(const Tracks &tracks, const double *guess, double inlier_px, uint32_t seed, double *motion,
        uint8_t *inliers) {
  const Problem problem(tracks);
  const Pose start = problem.pose(guess);
  const int n = problem.count();
  Random random(seed);
  Pose best = start;
  size_t most = 0;
  for (int tried = 0, needed = kSamples; tried < needed; ++tried) {
    int chosen[kSample];
    sample(random, n, chosen);
    Pose pose = start;
    if (!settle(problem, chosen, kSample, pose)) continue;
    const size_t count = agreeing(problem, pose, inlier_px).size();
    if (count > most) {
      most = count, best = pose;
      needed = std::min(needed, samples_for(static_cast<double>(count) / n));
    }
  }
  std::vector<int> chosen;
  for (int round = 0; round < 2; ++round) {
    chosen = agreeing(problem, best, inlier_px);
    if (chosen.size() < kSample) return NOVAFLOW_LIFTING_NO_POSE;
    if (!settle(problem, chosen.data(), static_cast<int>(chosen.size()), best)) {
      return NOVAFLOW_LIFTING_NO_POSE;
    }
  }
  std::fill_n(inliers, n, uint8_t{0});
  chosen = agreeing(problem, best, inlier_px);
  if (chosen.size() < kSample) return NOVAFLOW_LIFTING_NO_POSE;
  for (int i : chosen) inliers[i] = 1;
  problem.write(best, motion);
  return NOVAFLOW_LIFTING_OK;
}

double upper_median(std::vector<double> values) {
  const auto middle = values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2);
  std::nth_element(values.begin(), middle, values.end());
  return *middle;
}

// Derivatives of u and v with a strain of the points in the first frame's axes.
void strain_rows(const Rotation &turn, Vector3 arm, const Slopes &s, double *u, double *v) {
  const double along[3] = {arm.x, arm.y, arm.z};
  for (int k = 0; k < 6; ++k) {
    const int i = kAxes[k][0], j = kAxes[k][1];
    double change[3];
    for (int row = 0; row < 3; ++row) {
      change[row] = turn.m[row][i] * along[j] + (i != j ? turn.m[row][j] * along[i] : 0.0);
    }
    u[k] = s.u_x * change[0] + s.u_z * change[2];
    v[k] = s.v_y * change[1] + s.v_z * change[2];
  }
}

int strain(const Tracks &tracks, const double *motion, double *out) {
  const Problem problem(tracks);
  const Pose pose = problem.pose(motion);
  const int n = problem.count();
  std::vector<std::array<double, kStrain>> rows(2 * static_cast<size_t>(n));
  std::vector<double> left(rows.size()), off(n);
  for (int i = 0; i < n; ++i) {
    const Vector3 arm = pose.turn * problem.arm(i);
    Slopes slopes;
    double *u = rows[2 * i].data(), *v = rows[2 * i + 1].data();
    if (!problem.left(i, arm, pose, left[2 * i], left[2 * i + 1], slopes)) {
      return NOVAFLOW_LIFTING_NO_POSE;
    }
    twist_rows(arm, slopes, u, v);
    strain_rows(pose.turn, problem.arm(i), slopes, u + kTwist, v + kTwist);
  }
  constexpr double deviation[kStrain] = {kPlaceM,  kPlaceM,  kPlaceM,  kTurnRad,
                                         kTurnRad, kTurnRad, kInPlane, kInPlane,
                                         kInPlane, kInDepth, kInDepth, kInDepth};
  std::array<double, kStrain> found{};
  Normal<kStrain> normal;
  for (int round = 0; round < kReweighted; ++round) {
    const auto misfit = [&](int row) {
      double value = left[row];
      for (int k = 0; k < kStrain; ++k) value -= rows[row][k] * found[k];
      return value;
    };
    for (int i = 0; i < n; ++i) off[i] = std::hypot(misfit(2 * i), misfit(2 * i + 1));
    // Half of the lengths of two independent normal deviates are below 1.18 of theirs.
    const double scatter = std::max(1.4826 / 1.25 * upper_median(off), kLeastScatterPx);
    normal = {};
    for (int k = 0; k < kStrain; ++k)
      normal.a[(kStrain + 1) * k] = 1 / (deviation[k] * deviation[k]);
    for (int i = 0; i < n; ++i) {
      const double share = std::min(off[i] / (kCut * scatter), 1.0);
      const double trust = 1 - share * share;
      const double weight = trust * trust / (scatter * scatter * kShared);
      normal.add(rows[2 * i].data(), left[2 * i], weight);
      normal.add(rows[2 * i + 1].data(), left[2 * i + 1], weight);
    }
    if (!normal.factorise()) return NOVAFLOW_LIFTING_NO_POSE;
    found = normal.solve(normal.b);
  }
  const double apart = found[6] - found[7], skew = 2 * found[8];
  const double amount = std::hypot(apart, skew);
  std::array<double, kStrain> along{};
  along[6] = amount > 0 ? apart / amount : 1.0;
  along[7] = -along[6];
  along[8] = amount > 0 ? 2 * skew / amount : 0.0;
  const auto spread = normal.solve(along);
  double variance = 0;
  for (int k = 0; k < kStrain; ++k) variance += along[k] * spread[k];
  out[0] = amount;
  out[1] = std::sqrt(std::max(variance, 0.0));
  return NOVAFLOW_LIFTING_OK;
}

bool finite(const double *values, std::size_t count) {
  return std::all_of(values, values + count, [](double v) { return std::isfinite(v); });
}

int checked(const Tracks &tracks, const double *transform) {
  if (tracks.count < kSample) return NOVAFLOW_LIFTING_BAD_VALUE;
  const double camera[4] = {tracks.fx, tracks.fy, tracks.cx, tracks.cy};
  const auto n = static_cast<std::size_t>(tracks.count);
  if (!finite(camera, 4) || !finite(transform, 16) || !finite(tracks.points, 3 * n) ||
      !finite(tracks.pixels, 2 * n)) {
    return NOVAFLOW_LIFTING_NOT_FINITE;
  }
  return tracks.fx > 0 && tracks.fy > 0 ? NOVAFLOW_LIFTING_OK : NOVAFLOW_LIFTING_BAD_VALUE;
}

}  // namespace

extern "C" {

int32_t novaflow_lifting_version(void) { return NOVAFLOW_LIFTING_VERSION; }

int32_t novaflow_lifting_fit(const novaflow_lifting_tracks *tracks, const double *guess,
                             double inlier_px, uint32_t seed, double *motion, uint8_t *inliers) {
  if (const int status = checked(*tracks, guess)) return status;
  if (!(inlier_px > 0)) return NOVAFLOW_LIFTING_BAD_VALUE;
  try {
    return fit(*tracks, guess, inlier_px, seed, motion, inliers);
  } catch (const std::bad_alloc &) {
    return NOVAFLOW_LIFTING_NO_MEMORY;
  }
}

int32_t novaflow_lifting_strain(const novaflow_lifting_tracks *tracks, const double *motion,
                                double *out) {
  if (const int status = checked(*tracks, motion)) return status;
  try {
    return strain(*tracks, motion, out);
  } catch (const std::bad_alloc &) {
    return NOVAFLOW_LIFTING_NO_MEMORY;
  }
}

}  // extern "C"
