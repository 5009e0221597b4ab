/* The kernel's C interface. Lengths [m], angles [rad], transforms (4, 4) row-major, everything in
 * the arm's base frame unless said otherwise. T steps, N joints; frame 0 is the base, frame i moves
 * with joint i (1..N). Arrays belong to the caller and are only read, except where a field says
 * `out`. All functions may be called from several threads at once. */
#ifndef NOVAFLOW_TRAJOPT_NOVAFLOW_TRAJOPT_H
#define NOVAFLOW_TRAJOPT_NOVAFLOW_TRAJOPT_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#if defined(__GNUC__)
#define NOVAFLOW_TRAJOPT_API __attribute__((visibility("default")))
#else
#define NOVAFLOW_TRAJOPT_API
#endif

enum { NOVAFLOW_TRAJOPT_VERSION = 1, NOVAFLOW_TRAJOPT_MAX_JOINTS = 16 };

/* What a call returns. */
enum novaflow_trajopt_status {
  NOVAFLOW_TRAJOPT_OK = 0,
  NOVAFLOW_TRAJOPT_BAD_VALUE = 1,    /* a count, an index, an axis or a weight is out of range */
  NOVAFLOW_TRAJOPT_NOT_FINITE = 2,   /* NaN or infinity in an input */
  NOVAFLOW_TRAJOPT_NOT_DEFINITE = 3, /* the damped normal equations have no Cholesky factor */
  NOVAFLOW_TRAJOPT_DIVERGED = 4,     /* the cost of the first guess is not finite */
  NOVAFLOW_TRAJOPT_NO_MEMORY = 5,
  NOVAFLOW_TRAJOPT_DEGENERATE = 6, /* points do not fix a pose */
};

/* A serial arm. */
typedef struct novaflow_trajopt_arm {
  int32_t joint_count;          /* N, 1..16 */
  const double *T_parent_joint; /* (N, 4, 4) from frame i-1 to joint i at zero */
  const double *axis;           /* (N, 3) unit, in the joint's frame */
  const uint8_t *revolute;      /* (N) 1: turns about its axis, 0: slides along it */
  const double *lower;          /* (N) [rad or m] */
  const double *upper;          /* (N) */
  const double *rest;           /* (N) */
  const double *T_last_tcp;     /* (4, 4) in frame N */
} novaflow_trajopt_arm;

/* Capsules of arm, gripper and held object, and what they must not touch. A sphere is a capsule
 * whose ends coincide. */
typedef struct novaflow_trajopt_bodies {
  int32_t capsule_count;
  const int32_t *frame;  /* (C) 0..N */
  const double *capsule; /* (C, 7) both ends in that frame, radius */
  int32_t pair_count;
  const int32_t *pair; /* (P, 2) capsules that must not touch each other */
  int32_t has_plane;
  double plane[4]; /* unit normal n and offset d: n . p + d = 0 */
  int32_t box_count;
  const double *T_box_base; /* (B, 4, 4) */
  const double *box_half;   /* (B, 3) half extents */
  int32_t obstacle_count;
  const double *obstacle; /* (O, 7) capsules: both ends, radius */
  const uint8_t *meets;   /* (C, 1 + B + O) 1: capsule is checked against plane, box or obstacle */
} novaflow_trajopt_bodies;

/* Weights of the residuals, see cost.hpp. */
typedef struct novaflow_trajopt_weights {
  double limit, smooth, collision, rest;
  double position, orientation, end_position, end_orientation;
  double margin_m;
} novaflow_trajopt_weights;

/* An arm together with its bodies, laid out for the kernel. */
typedef struct novaflow_trajopt_model novaflow_trajopt_model;

typedef struct novaflow_trajopt_problem {
  const novaflow_trajopt_model *model;
  int32_t steps;            /* T, at least 1 */
  const double *T_base_tcp; /* (T, 4, 4) wanted poses */
  const double *q_start;    /* (N), read if q_initial is null */
  const double *q_end;      /* (N), read if q_initial is null */
  const double *q_initial;  /* (T, N), or null: the line from q_start to q_end */
  novaflow_trajopt_weights weights;
} novaflow_trajopt_problem;

typedef struct novaflow_trajopt_solution {
  double *q;                     /* out (T, N) */
  double *position_error_m;      /* out (T) */
  double *orientation_error_rad; /* out (T) */
  double *clearance_m;           /* out (T), capped at the margin */
  double cost;                   /* out, half the sum of squared residuals */
  int32_t iterations;            /* out */
  int32_t status;                /* out */
} novaflow_trajopt_solution;

typedef struct novaflow_trajopt_options {
  int32_t max_iterations; /* at least 1 */
  double tolerance;       /* relative decrease of the cost below which a path is done */
  int32_t threads;        /* at least 1; each takes one problem after the other */
} novaflow_trajopt_options;

NOVAFLOW_TRAJOPT_API int32_t novaflow_trajopt_version(void);

/* Instruction set that was chosen on this machine, e.g. "avx2"; lanes: steps per vector. */
NOVAFLOW_TRAJOPT_API const char *novaflow_trajopt_target(int32_t *lanes);

/* Choose an instruction set by name, for tests; BAD_VALUE if this machine lacks it. Not to be
 * called while another call runs. */
NOVAFLOW_TRAJOPT_API int32_t novaflow_trajopt_use_target(const char *name);

NOVAFLOW_TRAJOPT_API int32_t novaflow_trajopt_model_create(const novaflow_trajopt_arm *arm,
                                                           const novaflow_trajopt_bodies *bodies,
                                                           novaflow_trajopt_model **model);
NOVAFLOW_TRAJOPT_API void novaflow_trajopt_model_destroy(novaflow_trajopt_model *model);

/* Solve `count` problems; each solution has its own status. Returns the first that is not OK. */
NOVAFLOW_TRAJOPT_API int32_t novaflow_trajopt_follow(const novaflow_trajopt_problem *problems,
                                                     novaflow_trajopt_solution *solutions,
                                                     int32_t count,
                                                     const novaflow_trajopt_options *options);

/* The objective at q_initial: cost (1), gradient (T, N), hessian (T, N, N) without smoothness. */
NOVAFLOW_TRAJOPT_API int32_t novaflow_trajopt_linearise(const novaflow_trajopt_problem *problem,
                                                        double *cost, double *gradient,
                                                        double *hessian);

/* Smallest distance (count) of configurations q (count, N) to anything, at most `cap`. */
NOVAFLOW_TRAJOPT_API int32_t novaflow_trajopt_clearance(const novaflow_trajopt_model *model,
                                                        const double *q, int64_t count, double cap,
                                                        double *clearance);

#ifdef __cplusplus
}
#endif
#endif
