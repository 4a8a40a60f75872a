"""What a report cites: the papers behind its measures, models, corpora and statistics, by key.

Every entry was published under the identifier given. A work is cited where the result used it, never otherwise.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from babelscope.gaps.naming import measure_head, references_of


@dataclass(frozen=True)
class Reference:
    """One published work: its key for BibTeX, and `short`, as it is cited in a sentence (``Raghu et al., 2017``)."""

    key: str
    short: str
    authors: str
    title: str
    venue: str
    year: int
    arxiv: str = ""

    @property
    def line(self) -> str:
        """The entry of a list of references."""
        identifier = f" arXiv:{self.arxiv}." if self.arxiv else ""
        return f"{self.authors} ({self.year}). {self.title}. {self.venue}.{identifier}"

    @property
    def bibtex(self) -> str:
        """The entry for BibTeX."""
        fields = {"author": " and ".join(_names(self.authors)), "title": f"{{{self.title}}}", "year": str(self.year)}
        fields |= {"howpublished": self.venue}
        fields |= {"eprint": self.arxiv, "archivePrefix": "arXiv"} if self.arxiv else {}
        inner = ",\n".join(f"  {name} = {{{value}}}" for name, value in fields.items())
        return f"@misc{{{self.key},\n{inner}\n}}"


def _names(authors: str) -> list[str]:
    return ["others" if name == "et al." else name for name in authors.replace(", and ", "; ").split("; ")]


_ALL = (
    Reference(
        "raghu2017svcca", "Raghu et al., 2017", "Raghu, M.; Gilmer, J.; Yosinski, J.; Sohl-Dickstein, J.",
        "SVCCA: Singular Vector Canonical Correlation Analysis for Deep Learning Dynamics and Interpretability",
        "Advances in Neural Information Processing Systems 30", 2017, "1706.05806",
    ),
    Reference(
        "morcos2018insights", "Morcos et al., 2018", "Morcos, A. S.; Raghu, M.; Bengio, S.",
        "Insights on representational similarity in neural networks with canonical correlation",
        "Advances in Neural Information Processing Systems 31", 2018, "1806.05759",
    ),
    Reference(
        "hotelling1936relations", "Hotelling, 1936", "Hotelling, H.", "Relations between two sets of variates",
        "Biometrika 28", 1936,
    ),
    Reference(
        "kornblith2019similarity", "Kornblith et al., 2019", "Kornblith, S.; Norouzi, M.; Lee, H.; Hinton, G.",
        "Similarity of Neural Network Representations Revisited",
        "International Conference on Machine Learning", 2019, "1905.00414",
    ),
    Reference(
        "song2012feature", "Song et al., 2012", "Song, L.; Smola, A.; Gretton, A.; Bedo, J.; Borgwardt, K.",
        "Feature Selection via Dependence Maximization", "Journal of Machine Learning Research 13", 2012,
    ),
    Reference(
        "murphy2024correcting", "Murphy et al., 2024", "Murphy, A.; Zylberberg, J.; Fyshe, A.",
        "Correcting Biased Centered Kernel Alignment Measures in Biological and Artificial Neural Networks",
        "ICLR 2024 Workshop on Representational Alignment", 2024, "2405.01012",
    ),
    Reference(
        "williams2021generalized", "Williams et al., 2021",
        "Williams, A. H.; Kunz, E.; Kornblith, S.; Linderman, S. W.",
        "Generalized Shape Metrics on Neural Representations",
        "Advances in Neural Information Processing Systems 34", 2021, "2110.14739",
    ),
    Reference(
        "kriegeskorte2008representational", "Kriegeskorte et al., 2008", "Kriegeskorte, N.; Mur, M.; Bandettini, P.",
        "Representational similarity analysis – connecting the branches of systems neuroscience",
        "Frontiers in Systems Neuroscience 2", 2008,
    ),
    Reference(
        "huh2024platonic", "Huh et al., 2024", "Huh, M.; Cheung, B.; Wang, T.; Isola, P.",
        "The Platonic Representation Hypothesis", "International Conference on Machine Learning", 2024, "2405.07987",
    ),
    Reference(
        "artetxe2019massively", "Artetxe and Schwenk, 2019", "Artetxe, M.; Schwenk, H.",
        "Massively Multilingual Sentence Embeddings for Zero-Shot Cross-Lingual Transfer and Beyond",
        "Transactions of the Association for Computational Linguistics 7", 2019, "1812.10464",
    ),
    Reference(
        "artetxe2019margin", "Artetxe and Schwenk, 2019", "Artetxe, M.; Schwenk, H.",
        "Margin-based Parallel Corpus Mining with Multilingual Sentence Embeddings",
        "Annual Meeting of the Association for Computational Linguistics", 2019, "1811.01136",
    ),
    Reference(
        "kargaran2024mexa", "Kargaran et al., 2024", "Kargaran, A. H.; et al.",
        "MEXA: Multilingual Evaluation of English-Centric LLMs via Cross-Lingual Alignment", "Preprint", 2024,
        "2410.05873",
    ),
    Reference(
        "del2022similarity", "Del and Fishel, 2022", "Del, M.; Fishel, M.",
        "Cross-lingual Similarity of Multilingual Representations Revisited", "Preprint", 2022, "2212.01924",
    ),
    Reference(
        "pasad2021layerwise", "Pasad et al., 2021", "Pasad, A.; Chou, J.-C.; Livescu, K.",
        "Layer-wise Analysis of a Self-supervised Speech Representation Model",
        "IEEE Automatic Speech Recognition and Understanding Workshop", 2021, "2107.04734",
    ),
    Reference(
        "liang2022mind", "Liang et al., 2022", "Liang, W.; Zhang, Y.; Kwon, Y.; Yeung, S.; Zou, J.",
        "Mind the Gap: Understanding the Modality Gap in Multi-modal Contrastive Representation Learning",
        "Advances in Neural Information Processing Systems 35", 2022, "2203.02053",
    ),
    Reference(
        "groger2026revisiting", "Gröger et al., 2026", "Gröger, F.; Wen, S.; Brbić, M.",
        "Revisiting the Platonic Representation Hypothesis: An Aristotelian View",
        "International Conference on Machine Learning", 2026, "2602.14486",
    ),
    Reference(
        "efron1981jackknife", "Efron and Stein, 1981", "Efron, B.; Stein, C.", "The Jackknife Estimate of Variance",
        "The Annals of Statistics 9", 1981,
    ),
    Reference(
        "shao1989general", "Shao and Wu, 1989", "Shao, J.; Wu, C. F. J.",
        "A General Theory for Jackknife Variance Estimation", "The Annals of Statistics 17", 1989,
    ),
    Reference(
        "lee2025multimodal", "Lee et al., 2025", "Lee, H.; Liu, D.; Sinhamahapatra, S.; Niehues, J.",
        "How do Multimodal Foundation Models Encode Text and Speech? An Analysis of Cross-Lingual and Cross-Modal "
        "Representations",
        "Conference of the Nations of the Americas Chapter of the ACL", 2025, "2411.17666",
    ),
    Reference(
        "joshi2020state", "Joshi et al., 2020", "Joshi, P.; Santy, S.; Budhiraja, A.; Bali, K.; Choudhury, M.",
        "The State and Fate of Linguistic Diversity and Inclusion in the NLP World",
        "Annual Meeting of the Association for Computational Linguistics", 2020, "2004.09095",
    ),
    Reference(
        "conneau2022fleurs", "Conneau et al., 2022",
        "Conneau, A.; Ma, M.; Khanuja, S.; Zhang, Y.; Axelrod, V.; Dalmia, S.; Riesa, J.; Rivera, C.; Bapna, A.",
        "FLEURS: Few-shot Learning Evaluation of Universal Representations of Speech",
        "IEEE Spoken Language Technology Workshop", 2022, "2205.12446",
    ),
    Reference(
        "ma2024fleursr", "Ma et al., 2024", "Ma, M.; Koizumi, Y.; Karita, S.; Zen, H.; et al.",
        "FLEURS-R: A Restored Multilingual Speech Corpus for Generation Tasks", "Interspeech", 2024, "2408.06227",
    ),
    Reference(
        "schmidt2025fleursslu", "Schmidt et al., 2025", "Schmidt, F. D.; Vulić, I.; Glavaš, G.; Adelani, D. I.",
        "Fleurs-SLU: A Massively Multilingual Benchmark for Spoken Language Understanding", "Preprint", 2025,
        "2501.06117",
    ),
    Reference(
        "adelani2024sib", "Adelani et al., 2024", "Adelani, D. I.; et al.",
        "SIB-200: A Simple, Inclusive, and Big Evaluation Dataset for Topic Classification in 200+ Languages and "
        "Dialects",
        "Conference of the European Chapter of the ACL", 2024, "2309.07445",
    ),
    Reference(
        "bandarkar2024belebele", "Bandarkar et al., 2024", "Bandarkar, L.; et al.",
        "The Belebele Benchmark: a Parallel Reading Comprehension Dataset in 122 Language Variants",
        "Annual Meeting of the Association for Computational Linguistics", 2024, "2308.16884",
    ),
    Reference(
        "costajussa2024belebele", "Costa-jussà et al., 2024", "Costa-jussà, M. R.; Yu, B.; Andrews, P.; et al.",
        "2M-Belebele: Highly Multilingual Speech and American Sign Language Comprehension Dataset", "Preprint", 2024,
        "2412.08274",
    ),
    Reference(
        "ardila2020common", "Ardila et al., 2020", "Ardila, R.; et al.",
        "Common Voice: A Massively-Multilingual Speech Corpus", "Language Resources and Evaluation Conference", 2020,
        "1912.06670",
    ),
    Reference(
        "wang2020covost", "Wang et al., 2020", "Wang, C.; Wu, A.; Pino, J.",
        "CoVoST 2: A Massively Multilingual Speech-to-Text Translation Corpus", "Preprint", 2020, "2007.10310",
    ),
    Reference(
        "seamless2023m4t", "Seamless Communication et al., 2023a", "Seamless Communication; et al.",
        "SeamlessM4T: Massively Multilingual & Multimodal Machine Translation", "Preprint", 2023, "2308.11596",
    ),
    Reference(
        "seamless2023expressive", "Seamless Communication et al., 2023b", "Seamless Communication; et al.",
        "Seamless: Multilingual Expressive and Streaming Speech Translation", "Preprint", 2023, "2312.05187",
    ),
    Reference(
        "duquenne2023sonar", "Duquenne et al., 2023", "Duquenne, P.-A.; Schwenk, H.; Sagot, B.",
        "SONAR: Sentence-Level Multimodal and Language-Agnostic Representations", "Preprint", 2023, "2308.11466",
    ),
    Reference(
        "radford2023whisper", "Radford et al., 2023",
        "Radford, A.; Kim, J. W.; Xu, T.; Brockman, G.; McLeavey, C.; Sutskever, I.",
        "Robust Speech Recognition via Large-Scale Weak Supervision",
        "International Conference on Machine Learning", 2023, "2212.04356",
    ),
    Reference(
        "wang2024multilingual", "Wang et al., 2024",
        "Wang, L.; Yang, N.; Huang, X.; Yang, L.; Majumder, R.; Wei, F.",
        "Multilingual E5 Text Embeddings: A Technical Report", "Preprint", 2024, "2402.05672",
    ),
    Reference(
        "tang2024salmonn", "Tang et al., 2024",
        "Tang, C.; Yu, W.; Sun, G.; Chen, X.; Tan, T.; Li, W.; Lu, L.; Ma, Z.; Zhang, C.",
        "SALMONN: Towards Generic Hearing Abilities for Large Language Models",
        "International Conference on Learning Representations", 2024, "2310.13289",
    ),
)  # fmt: skip

REFERENCES: dict[str, Reference] = {one.key: one for one in _ALL}

#: Keys of the works behind a model or corpus, by a part of its name or family, the longer ones first.
_MODELS: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("seamless-m4t-v2", ("seamless2023expressive", "seamless2023m4t")),
    ("seamless_m4t_v2", ("seamless2023expressive", "seamless2023m4t")),
    ("seamless", ("seamless2023m4t",)),
    ("sonar", ("duquenne2023sonar",)),
    ("whisper", ("radford2023whisper",)),
    ("e5", ("wang2024multilingual",)),
    ("salmonn", ("tang2024salmonn",)),
)
_CORPORA = {
    "fleurs": ("conneau2022fleurs",),
    "fleurs-r": ("ma2024fleursr", "conneau2022fleurs"),
    "sib-fleurs": ("schmidt2025fleursslu", "adelani2024sib", "conneau2022fleurs"),
    "belebele-fleurs": ("schmidt2025fleursslu", "bandarkar2024belebele", "conneau2022fleurs"),
    "2m-belebele": ("costajussa2024belebele", "bandarkar2024belebele", "conneau2022fleurs"),
    "common-voice": ("ardila2020common",),
    "covost2": ("wang2020covost", "ardila2020common"),
}


def of_measure(measure: str) -> list[Reference]:
    """Return the works behind a measure, as written in the scores; none for one that is not known here."""
    keys = tuple(key for key in references_of(measure) if key in REFERENCES)
    if measure_head(measure).endswith("_cka") and "debiased=False" not in measure.replace(" ", ""):
        keys = (*keys, "song2012feature", "murphy2024correcting")
    return [REFERENCES[key] for key in keys]


def of_model(*names: str) -> list[Reference]:
    """Return the works behind a model, by its name and the families of its sides."""
    works: dict[str, Reference] = {}
    for name in names:
        for side in name.lower().split("+"):
            keys = next((keys for word, keys in _MODELS if word in side), ())
            works |= {key: REFERENCES[key] for key in keys}
    return list(works.values())


def of_corpus(name: str) -> list[Reference]:
    """Return the works behind a corpus."""
    return [REFERENCES[key] for key in _CORPORA.get(name.lower(), ())]


def cite(references: Iterable[Reference]) -> str:
    """Return a citation in brackets: ``(Raghu et al., 2017; Morcos et al., 2018)``; empty for none."""
    named = dict.fromkeys(one.short for one in references)
    return f" ({'; '.join(named)})" if named else ""
