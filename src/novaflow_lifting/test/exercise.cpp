// Runs the whole interface on random tracks, for the sanitizers and without them: poses and strains
// are found again, threads agree, bad input is refused. Exit status 0 if everything is as expected.
#include <array>
#include <cmath>
#include <cstdio>
#include <limits>
#include <random>
#include <thread>
#include <vector>

#include "novaflow_lifting/novaflow_lifting.h"

namespace {

std::mt19937 engine(1);

double uniform(double low, double high) {
  return std::uniform_real_distribution<double>(low, high)(engine);
}

int failures = 0;

void expect(bool good, const char *what) {
  if (good) return;
  ++failures;
  std::fprintf(stderr, "FAILED: %s\n", what);
}

// Points 0.7 m away, turned about the camera's axis, shifted, longer along x by a factor.
struct Scene {
  std::vector<double> points, pixels;
  std::array<double, 16> motion{};
  novaflow_lifting_tracks tracks{};

  Scene(int count, double longer, int wrong) {
    const double angle = uniform(-0.3, 0.3), c = std::cos(angle), s = std::sin(angle);
    motion = {c, -s, 0, uniform(-0.02, 0.02), s, c, 0, uniform(-0.02, 0.02), 0, 0, 1, 0.01, 0,
              0, 0,  1};
    for (int i = 0; i < count; ++i) {
      const double p[3] = {uniform(-0.05, 0.05), uniform(-0.05, 0.05), 0.7 + uniform(-0.03, 0.03)};
      points.insert(points.end(), p, p + 3);
      const double x = longer * p[0];
      const double q[3] = {c * x - s * p[1] + motion[3], s * x + c * p[1] + motion[7], p[2] + 0.01};
      const double far = i < wrong ? uniform(20, 60) : 0;
      pixels.push_back(900 * q[0] / q[2] + 640 + far);
      pixels.push_back(900 * q[1] / q[2] + 360 - far);
    }
    tracks = {count, points.data(), pixels.data(), 900, 900, 640, 360};
  }
};

constexpr std::array<double, 16> kStill = {1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1};

void find_poses() {
  for (const int count : {6, 7, 40, 360}) {
    for (int wrong = 0; 2 * wrong < count - 5; wrong += 1 + count / 8) {
      const Scene scene(count, 1.0, wrong);
      std::array<double, 16> found{}, again{};
      std::vector<uint8_t> inliers(count), same(count);
      expect(novaflow_lifting_fit(&scene.tracks, kStill.data(), 2.0, 3, found.data(),
                                  inliers.data()) == NOVAFLOW_LIFTING_OK,
             "a pose");
      for (int k = 0; k < 16; ++k) {
        expect(std::abs(found[k] - scene.motion[k]) < 1e-6, "the pose is right");
      }
      for (int i = 0; i < count; ++i) expect(inliers[i] == (i >= wrong), "which tracks agree");
      std::thread other([&] {
        novaflow_lifting_fit(&scene.tracks, kStill.data(), 2.0, 3, again.data(), same.data());
      });
      other.join();
      expect(found == again && inliers == same, "the same again, on another thread");
    }
  }
}

void find_strains() {
  for (const double longer : {0.8, 1.0, 1.1, 1.3}) {
    const Scene scene(300, longer, 0);
    double strain[2];
    expect(
        novaflow_lifting_strain(&scene.tracks, scene.motion.data(), strain) == NOVAFLOW_LIFTING_OK,
        "a strain");
    expect(std::abs(strain[0] - std::abs(longer - 1)) < 0.03, "the strain is right");
    expect(strain[1] > 0 && strain[1] < 0.1, "it is known to some extent");
  }
}

void refuse_bad_input() {
  Scene scene(20, 1.0, 0);
  std::array<double, 16> motion{};
  std::vector<uint8_t> inliers(20);
  double strain[2];
  const auto both = [&](const novaflow_lifting_tracks &tracks, int wanted, const char *what) {
    expect(novaflow_lifting_fit(&tracks, kStill.data(), 2.0, 0, motion.data(), inliers.data()) ==
               wanted,
           what);
    expect(novaflow_lifting_strain(&tracks, kStill.data(), strain) == wanted, what);
  };
  auto tracks = scene.tracks;
  for (const int count : {-1, 0, 5}) {
    tracks.count = count;
    both(tracks, NOVAFLOW_LIFTING_BAD_VALUE, "too few tracks");
  }
  tracks = scene.tracks;
  tracks.fx = 0;
  both(tracks, NOVAFLOW_LIFTING_BAD_VALUE, "no focal length");
  expect(novaflow_lifting_fit(&scene.tracks, kStill.data(), 0.0, 0, motion.data(),
                              inliers.data()) == NOVAFLOW_LIFTING_BAD_VALUE,
         "no limit");
  scene.pixels[7] = std::numeric_limits<double>::quiet_NaN();
  both(scene.tracks, NOVAFLOW_LIFTING_NOT_FINITE, "a pixel that is no number");
  scene.pixels[7] = 300;
  for (size_t i = 2; i < scene.points.size(); i += 3) scene.points[i] = -1.0;
  expect(novaflow_lifting_fit(&scene.tracks, kStill.data(), 2.0, 0, motion.data(),
                              inliers.data()) == NOVAFLOW_LIFTING_NO_POSE,
         "behind the camera");
  expect(novaflow_lifting_strain(&scene.tracks, kStill.data(), strain) == NOVAFLOW_LIFTING_NO_POSE,
         "behind the camera");
}

}  // namespace

int main() {
  expect(novaflow_lifting_version() == NOVAFLOW_LIFTING_VERSION, "version");
  find_poses();
  find_strains();
  refuse_bad_input();
  std::printf("done\n");
  return failures == 0 ? 0 : 1;
}
