"""The prior of a probe: how common it takes each answer to be when it answers.

Most quantities may not come next, so a probe that weighs evidence by the shares of its training queries says no too often to score well where every
answer counts the same. With the prior ``uniform`` it answers as if all answers were equally common. A V-probe is trained with the logarithms of
the shares beside its logits, and answers without them; from a linear probe and from trees on the text they are taken away after the fit. All three
stay fits of the same likelihood: only the answers move, and, for a V-probe, where its training begins.

Source: logit adjustment (Menon et al., arXiv:2007.07314). Ours: that probes and their floors use it; the paper's have the prior ``training``.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from igsm_pipeline.probes.settings import Prior


def log_shares(prior: Prior, label: NDArray[np.integer], num_classes: int) -> NDArray[np.float64]:
    """What the answers of a training say about how common each answer is, and a uniform prior takes out of a probe's logits.

    Args:
        prior: of the probe; with ``training`` nothing is taken out: all are 0.
        label: the answers that it learns from.
        num_classes: classes of the task.

    Returns:
        The logarithm of every class's share, one answer of each added, so that no share is 0; (num_classes,).
    """
    if prior == "training":
        return np.zeros(num_classes)
    counts = np.bincount(label, minlength=num_classes) + 1.0
    return np.asarray(np.log(counts / counts.sum()))


def bits_of_shares(prior: Prior, num_queries: int, num_classes: int) -> float:
    """Bits that tell somebody the shares that ``log_shares`` uses: a count for each class but one."""
    return 0.0 if prior == "training" else (num_classes - 1) * float(np.log2(num_queries + 1))
