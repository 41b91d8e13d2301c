"""Quaternions, matrices and 6D rotations on arrays: the only rotation formulas of the project.

Quaternions are (..., 4) with w first; vectors (..., 3); matrices (..., 3, 3) act on columns.
"""

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[np.floating]

IDENTITY = np.array([1.0, 0.0, 0.0, 0.0])


def normalized(vectors: Array) -> Array:
    """(..., N) -> the same directions with length 1; zero vectors stay zero."""
    lengths = np.linalg.norm(vectors, axis=-1, keepdims=True)
    return vectors / np.where(lengths == 0.0, 1.0, lengths)


def cross(a: Array, b: Array) -> Array:
    """`np.cross` of vectors (..., 3) to the bit, in half its time on the arrays of one clip."""
    (ax, ay, az), (bx, by, bz) = _components(a), _components(b)
    return np.stack([ay * bz - az * by, az * bx - ax * bz, ax * by - ay * bx], axis=-1)


def _components(vectors: ArrayLike) -> list[Array]:
    """(..., N) -> N arrays (...)."""
    array = np.asarray(vectors)
    return [array[..., index] for index in range(array.shape[-1])]


def multiply(a: Array, b: Array) -> Array:
    """Hamilton product: the rotation `b` followed by `a`. (..., 4), (..., 4) -> (..., 4)."""
    (aw, ax, ay, az), (bw, bx, by, bz) = _components(a), _components(b)
    return np.stack(
        [
            aw * bw - ax * bx - ay * by - az * bz,
            aw * bx + ax * bw + ay * bz - az * by,
            aw * by - ax * bz + ay * bw + az * bx,
            aw * bz + ax * by - ay * bx + az * bw,
        ],
        axis=-1,
    )


def inverse(quats: Array) -> Array:
    """Inverse of unit quaternions (..., 4)."""
    return np.asarray(quats) * np.array([1.0, -1.0, -1.0, -1.0])


def rotate(quats: Array, vectors: Array) -> Array:
    """Rotate vectors (..., 3) by unit quaternions (..., 4); leading axes broadcast."""
    w, xyz = quats[..., :1], quats[..., 1:]
    twice = 2.0 * cross(xyz, vectors)
    return vectors + w * twice + cross(xyz, twice)


def between(a: Array, b: Array) -> Array:
    """Shortest rotation that takes direction `a` to direction `b`. (..., 3), (..., 3) -> (..., 4).

    For opposite directions, where the shortest arc is not unique, any half turn is returned.
    """
    a, b = normalized(a), normalized(b)
    axis = cross(a, b)
    w = 1.0 + np.sum(a * b, axis=-1, keepdims=True)
    opposite = w < 1e-12
    helper = np.where(np.abs(a[..., :1]) < 0.9, (1.0, 0.0, 0.0), (0.0, 1.0, 0.0))
    axis = np.where(opposite, cross(a, helper), axis)
    return normalized(np.concatenate([np.where(opposite, 0.0, w), axis], axis=-1))


def about_axis(axis: ArrayLike, angles: Array) -> Array:
    """Rotation by `angles` (...,) radians about unit axes (3,) or (..., 3) -> (..., 4)."""
    half = 0.5 * np.asarray(angles, dtype=np.float64)[..., None]
    vector = np.sin(half) * np.asarray(axis, dtype=np.float64)
    return np.concatenate([np.cos(half), vector], axis=-1)


def continuous(quats: Array) -> Array:
    """(T, ..., 4) -> the same rotations without sign flips between neighbouring frames."""
    dots = np.sum(quats[1:] * quats[:-1], axis=-1)
    signs = np.cumprod(np.where(dots < 0.0, -1.0, 1.0), axis=0)
    return np.concatenate([quats[:1], quats[1:] * signs[..., None]])


def slerp(a: Array, b: Array, share: ArrayLike) -> Array:
    """Spherical interpolation along the shorter arc; `share` 0 gives a, 1 gives b. (..., 4)."""
    dot = np.sum(a * b, axis=-1, keepdims=True)
    b = np.where(dot < 0.0, -b, b)
    angle = np.arccos(np.clip(np.abs(dot), 0.0, 1.0))
    share = np.asarray(share)[..., None]
    sine = np.sin(angle)
    close = sine < 1e-6
    divisor = np.where(close, 1.0, sine)
    first = np.where(close, 1.0 - share, np.sin((1.0 - share) * angle) / divisor)
    second = np.where(close, share, np.sin(share * angle) / divisor)
    return normalized(first * a + second * b)


def to_vector(quats: Array) -> Array:
    """Axis times angle of unit quaternions, (..., 4) -> (..., 3); the angle is 0 to 2 pi, and up to
    pi where w >= 0."""
    w, xyz = quats[..., :1], quats[..., 1:]
    sine = np.linalg.norm(xyz, axis=-1, keepdims=True)
    angle = 2.0 * np.arctan2(sine, w)
    close = sine < 1e-9
    return xyz * np.where(close, 2.0, angle / np.where(close, 1.0, sine))


def from_vector(vectors: Array) -> Array:
    """Inverse of `to_vector`: axis times angle (..., 3) -> unit quaternions (..., 4)."""
    half = 0.5 * np.linalg.norm(vectors, axis=-1, keepdims=True)
    return np.concatenate([np.cos(half), 0.5 * vectors * np.sinc(half / np.pi)], axis=-1)


def to_matrix(quats: Array) -> Array:
    """Unit quaternions (..., 4) -> matrices (..., 3, 3)."""
    w, x, y, z = _components(quats)
    rows = [
        [1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)],
        [2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)],
        [2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)],
    ]
    return np.stack([np.stack(row, axis=-1) for row in rows], axis=-2)


def from_matrix(matrices: Array) -> Array:
    """Rotation matrices (..., 3, 3) -> unit quaternions (..., 4) with w >= 0.

    The four products of each component with the largest one are read off the matrix, and the row
    with the largest pivot is used, so nothing is divided by a small number.
    """
    m = np.asarray(matrices)
    xx, yy, zz = m[..., 0, 0], m[..., 1, 1], m[..., 2, 2]
    yz, zy = m[..., 1, 2], m[..., 2, 1]
    xz, zx = m[..., 0, 2], m[..., 2, 0]
    xy, yx = m[..., 0, 1], m[..., 1, 0]
    candidates = np.stack(
        [
            np.stack([1 + xx + yy + zz, zy - yz, xz - zx, yx - xy], axis=-1),
            np.stack([zy - yz, 1 + xx - yy - zz, xy + yx, xz + zx], axis=-1),
            np.stack([xz - zx, xy + yx, 1 - xx + yy - zz, yz + zy], axis=-1),
            np.stack([yx - xy, xz + zx, yz + zy, 1 - xx - yy + zz], axis=-1),
        ],
        axis=-2,
    )
    pivots = np.stack([candidates[..., i, i] for i in range(4)], axis=-1)
    best = np.argmax(pivots, axis=-1)[..., None, None]
    quats = normalized(np.take_along_axis(candidates, best, axis=-2)[..., 0, :])
    return np.where(quats[..., :1] < 0.0, -quats, quats)


def to_6d(quats: Array) -> Array:
    """The first two columns of the matrix, one after the other. (..., 4) -> (..., 6)."""
    matrices = to_matrix(quats)
    return np.concatenate([matrices[..., 0], matrices[..., 1]], axis=-1)


def align(reference: Array, observed: Array) -> Array:
    """Kabsch: least-squares rotation of directions. (K, 3), (..., K, 3) -> (..., 3, 3).

    Minimises sum |R reference_k - observed_k|^2 over proper rotations.
    """
    covariance = np.einsum("...ki,kj->...ij", observed, reference)
    u, _, vt = np.linalg.svd(covariance)
    flip = np.ones((*covariance.shape[:-2], 3))
    flip[..., 2] = np.sign(np.linalg.det(u @ vt))
    return (u * flip[..., None, :]) @ vt
