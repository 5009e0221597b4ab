/* The C interface of the lifting kernels. Lengths [m], pixels [px] with u right and v down,
 * transforms (4, 4) row-major that move points of the first frame's optical frame, `p' = T p`.
 * Arrays belong to the caller and are only read, except where a field says `out`. All functions may
 * be called from several threads at once. */
#ifndef NOVAFLOW_LIFTING_NOVAFLOW_LIFTING_H
#define NOVAFLOW_LIFTING_NOVAFLOW_LIFTING_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#if defined(__GNUC__)
#define NOVAFLOW_LIFTING_API __attribute__((visibility("default")))
#else
#define NOVAFLOW_LIFTING_API
#endif

enum { NOVAFLOW_LIFTING_VERSION = 1, NOVAFLOW_LIFTING_LEAST = 6 };

/* What a call returns. */
enum novaflow_lifting_status {
  NOVAFLOW_LIFTING_OK = 0,
  NOVAFLOW_LIFTING_BAD_VALUE = 1,  /* fewer than 6 tracks, or a focal length that is not positive */
  NOVAFLOW_LIFTING_NOT_FINITE = 2, /* NaN or infinity in an input */
  NOVAFLOW_LIFTING_NO_MEMORY = 3,
  NOVAFLOW_LIFTING_NO_POSE = 4, /* no pose explains six tracks */
};

/* Where points of the first frame were tracked to. */
typedef struct novaflow_lifting_tracks {
  int32_t count;        /* N, at least 6 */
  const double *points; /* (N, 3) in the first frame */
  const double *pixels; /* (N, 2) now */
  double fx, fy, cx, cy;
} novaflow_lifting_tracks;

/* The interface's version, for callers that were built against another. */
NOVAFLOW_LIFTING_API int32_t novaflow_lifting_version(void);

/* Finds the pose that most tracks agree with, near `guess` (4, 4): random samples of six, least
 * squares over those within `inlier_px`. The same input gives the same answer.
 * `motion` (4, 4) out; `inliers` (N) out, 1 where a track agrees. */
NOVAFLOW_LIFTING_API int32_t novaflow_lifting_fit(const novaflow_lifting_tracks *tracks,
                                                  const double *guess, double inlier_px,
                                                  uint32_t seed, double *motion, uint8_t *inliers);

/* How much longer along one axis of the first frame's image than across it the points have become,
 * from tracks that start where they are drawn at `motion` (4, 4).
 * `strain` (2) out: the difference of the two strains, and its standard deviation. */
NOVAFLOW_LIFTING_API int32_t novaflow_lifting_strain(const novaflow_lifting_tracks *tracks,
                                                     const double *motion, double *strain);

#ifdef __cplusplus
}
#endif

#endif
