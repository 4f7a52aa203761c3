"""Problem + completion -> verdict: the first error and where, redundancy, accuracy with intervals."""

from igsm_pipeline.verification.verdict import Error, Verdict
from igsm_pipeline.verification.verifier import verify

__all__ = ["Error", "Verdict", "verify"]
