"""How alike two representations are, and what chance would give.

Rows are sentences, columns features; float64 inside. Every measure is a plain function ``f(x, y, ...) -> float``;
:func:`score` puts a null, a calibrated value, a p-value and an interval beside it, :func:`pairwise` and
:func:`cross_layer` do so for tables of pairs.
"""

from babelscope.similarity.cca import CCA, PWCCA, SVCCA, SVCCA_CONVENTIONS, cca, pwcca, svcca
from babelscope.similarity.cka import RBFCKA, LinearCKA, linear_cka, rbf_cka
from babelscope.similarity.controls import regress_out
from babelscope.similarity.crossval import CVCCA, cv_cca
from babelscope.similarity.intervals import subsample_interval, subsamples
from babelscope.similarity.measure import MEASURES, Measure, parse_measure
from babelscope.similarity.neighbours import MutualKNN, mutual_knn
from babelscope.similarity.neurons import ANC, CentroidGap, anc, centroid_gap
from babelscope.similarity.pairwise import cross_layer, pairwise
from babelscope.similarity.permutation import Calibration, calibrate
from babelscope.similarity.procrustes import Procrustes, procrustes
from babelscope.similarity.representation import Representation
from babelscope.similarity.retrieval import Mexa, Retrieval, Xsim, mexa, retrieval, xsim
from babelscope.similarity.rsa import RSA, rsa
from babelscope.similarity.score import Score, score

__all__ = [
    "ANC",
    "CCA",
    "CVCCA",
    "MEASURES",
    "PWCCA",
    "RBFCKA",
    "RSA",
    "SVCCA",
    "SVCCA_CONVENTIONS",
    "Calibration",
    "CentroidGap",
    "LinearCKA",
    "Measure",
    "Mexa",
    "MutualKNN",
    "Procrustes",
    "Representation",
    "Retrieval",
    "Score",
    "Xsim",
    "anc",
    "calibrate",
    "cca",
    "centroid_gap",
    "cross_layer",
    "cv_cca",
    "linear_cka",
    "mexa",
    "mutual_knn",
    "pairwise",
    "parse_measure",
    "procrustes",
    "pwcca",
    "rbf_cka",
    "regress_out",
    "retrieval",
    "rsa",
    "score",
    "subsample_interval",
    "subsamples",
    "svcca",
    "xsim",
]
