"""Numbers that say how far two results are apart, and whether one looks like a result at all. Names as in Polygraphy and its peers."""

from __future__ import annotations

from dataclasses import asdict, dataclass

import numpy as np


@dataclass(frozen=True)
class Distance:
    """How far ``got`` is from ``expected``, computed in float64.

    Attributes:
        equal: Whether every element is the same bit pattern (NaNs at the same places count as equal).
        max_abs: Largest absolute difference.
        rel_l2: Euclidean norm of the difference over that of the expected values.
        cosine: Cosine of the angle between both, flattened.
        psnr: Peak signal-to-noise ratio in dB, with the expected values' range as the peak; infinite where equal.
    """

    equal: bool
    max_abs: float
    rel_l2: float
    cosine: float
    psnr: float


def distance(got: np.ndarray, expected: np.ndarray) -> Distance:
    """Compare two arrays of one shape.

    Raises:
        ValueError: The shapes differ.
    """
    if got.shape != expected.shape:
        raise ValueError(f"shapes differ: {got.shape} and {expected.shape}")
    a, b = got.astype(np.float64).ravel(), expected.astype(np.float64).ravel()
    equal = got.dtype == expected.dtype and bool(np.array_equal(got, expected, equal_nan=True))
    gap = a - b
    norm_a, norm_b, norm_gap = (float(np.linalg.norm(v)) for v in (a, b, gap))
    mean_square = float(np.mean(gap**2)) if gap.size else 0.0
    span = float(b.max() - b.min()) if b.size else 0.0
    return Distance(
        equal=equal,
        max_abs=float(np.abs(gap).max()) if gap.size else 0.0,
        rel_l2=norm_gap / norm_b if norm_b else (0.0 if not norm_gap else float("inf")),
        cosine=float(a @ b) / (norm_a * norm_b) if norm_a and norm_b else float(norm_a == norm_b),
        psnr=float("inf") if mean_square == 0 else 10 * float(np.log10(span**2 / mean_square)) if span else float("-inf"),
    )


@dataclass(frozen=True)
class Health:
    """Whether an output looks like a result: no NaN, no Inf, not constant, not at its type's limit."""

    nan: int
    inf: int
    std: float
    saturated: float

    def complaints(self) -> list[str]:
        """What is wrong, in words; empty for a healthy output."""
        found = []
        if self.nan:
            found.append(f"{self.nan:,} NaN")
        if self.inf:
            found.append(f"{self.inf:,} Inf")
        if not self.nan and not self.inf and self.std < 1e-6:
            found.append(f"constant (standard deviation {self.std:.1e})")
        if self.saturated > 0.001:
            found.append(f"{self.saturated:.1%} of the values at the largest number of their type")
        return found


def health(values: np.ndarray) -> Health:
    """Look at one output."""
    x = values.astype(np.float64)
    finite = x[np.isfinite(x)]
    limit = float(np.finfo(values.dtype).max) if np.issubdtype(values.dtype, np.floating) else float("inf")
    return Health(
        nan=int(np.isnan(x).sum()),
        inf=int(np.isinf(x).sum()),
        std=float(finite.std()) if finite.size else 0.0,
        saturated=float((np.abs(finite) >= limit).mean()) if finite.size else 0.0,
    )


def numbers(found: Distance | Health) -> dict[str, float]:
    """The fields as JSON-ready numbers; infinities as large ones, because JSON has none."""
    return {k: max(-1e308, min(1e308, float(v))) for k, v in asdict(found).items()}
