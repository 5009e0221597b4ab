"""Stand-in of TAPIP3D's `datasets.data_ops`."""


def _filter_one_depth(depth, depth_rtol, normal_tol, intrinsics):
    if depth.ndim != 2 or not (depth < 1e9).all() or (depth_rtol, normal_tol) != (0.08, 15):
        raise ValueError(f"depth {depth.shape}, {depth_rtol}, {normal_tol}")
    middle = (depth.shape[1] - 1) / 2, (depth.shape[0] - 1) / 2
    if max(abs(intrinsics[0, 2] - middle[0]), abs(intrinsics[1, 2] - middle[1])) > 1:
        raise ValueError(f"intrinsics {intrinsics.tolist()} are of another size of image")
    return depth
