"""How similar two representations are, and what chance would give.

Rows are sentences, columns features; float64 inside. Every measure is a plain function ``f(x, y, ...) -> float``;
:func:`score` puts a null, a chance-corrected value, a p-value and an interval next to it, :func:`pairwise` and
:func:`cross_layer` do so for tables of pairs.
"""

from babelscope.lazy_imports import public_names
from babelscope.similarity.aggregate import Average, over_languages
from babelscope.similarity.cca import CCA, PWCCA, SVCCA, SVCCA_CONVENTIONS, cca, directions_carried, pwcca, svcca
from babelscope.similarity.cka import RBFCKA, LinearCKA, linear_cka, rbf_cka
from babelscope.similarity.controls import Floor, drop_rogue, speaker_floor, standardise
from babelscope.similarity.crossval import CVCCA, cv_cca
from babelscope.similarity.diagnostics import anisotropy, effective_rank, rogue_dimensions, top_pc_share
from babelscope.similarity.measure import MEASURES, Measure, parse_measure
from babelscope.similarity.multiplicity import Best, false_discovery, holm, max_over
from babelscope.similarity.neighbours import MutualKNN, mutual_knn
from babelscope.similarity.neurons import ANC, CentroidGap, anc, centroid_gap
from babelscope.similarity.nulls import NullLaw
from babelscope.similarity.pairwise import cross_layer, pairwise
from babelscope.similarity.permutation import Calibration, calibrate, chance_corrected
from babelscope.similarity.procrustes import Procrustes, procrustes
from babelscope.similarity.representation import Representation
from babelscope.similarity.residuals import regress_out
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
    "Average",
    "Best",
    "Calibration",
    "CentroidGap",
    "Floor",
    "LinearCKA",
    "Measure",
    "Mexa",
    "MutualKNN",
    "NullLaw",
    "Procrustes",
    "Representation",
    "Retrieval",
    "Score",
    "Xsim",
    "anc",
    "anisotropy",
    "calibrate",
    "cca",
    "centroid_gap",
    "chance_corrected",
    "cross_layer",
    "cv_cca",
    "directions_carried",
    "drop_rogue",
    "effective_rank",
    "false_discovery",
    "holm",
    "linear_cka",
    "max_over",
    "mexa",
    "mutual_knn",
    "over_languages",
    "pairwise",
    "parse_measure",
    "procrustes",
    "pwcca",
    "rbf_cka",
    "regress_out",
    "retrieval",
    "rogue_dimensions",
    "rsa",
    "score",
    "speaker_floor",
    "standardise",
    "svcca",
    "top_pc_share",
    "xsim",
]

__dir__ = public_names(__name__)
