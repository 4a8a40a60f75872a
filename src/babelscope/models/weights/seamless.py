r"""SeamlessM4T's original checkpoints (``.pt``), into the names of transformers.

Two dialects. *fairseq2*: the names of ``seamless_communication``'s own model, ``speech_encoder.inner.layers.0…``.
*fairseq*: those that the models were trained under, ``encoder.w2v_encoder.w2v_model.encoder.layers.0…``, which its
loader renames. Both are read here; which of the two the released files bear could not be looked at. A fairseq file is
more than renamed, as the loader does (``models/unity/loader.py``): of the three copies of the embedding the output
projection's counts, a 256103rd row (a dummy) is dropped, and the first four rows (BOS, PAD, EOS, UNK) are put in the
tokenizer's order (PAD, UNK, BOS, EOS). A fairseq2 file has that order already.

The names are those of that loader and of transformers' conversion scripts (``convert_fairseq2_to_hf.py``). Two norms
are named crosswise: the original's ``speech_encoder.inner_layer_norm`` is transformers' ``encoder.layer_norm``, and its
``speech_encoder.layer_norm`` is transformers' ``inner_layer_norm``.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from torch import Tensor

from babelscope.errors import DataError
from babelscope.models.weights.fairseq import CONFORMER, FAIRSEQ_CONFORMER, Names

#: The embedding, which text encoder, text decoder and output projection share.
EMBEDDING = "shared.weight"

# The languages of large (v1 and v2) and of medium, in the order of their ids: as the original's model cards list them.
# (Transformers' files of large call Malay zlm, where the original has zsm.)
_LARGE = """
afr amh arb ary arz asm azj bel ben bos bul cat ceb ces ckb cmn cmn_Hant cym dan deu ell eng est eus fin fra fuv gaz
gle glg guj heb hin hrv hun hye ibo ind isl ita jav jpn kan kat kaz khk khm kir kor lao lit lug luo lvs mai mal mar
mkd mlt mni mya nld nno nob npi nya ory pan pbt pes pol por ron rus sat slk slv sna snd som spa srp swe swh tam tel
tgk tgl tha tur ukr urd uzn vie yor yue zsm zul
"""
_MEDIUM = """
ace ace_Latn acm acq aeb afr ajp aka amh apc arb ars ary arz asm ast awa ayr azb azj bak bam ban bel bem ben bho bjn
bjn_Latn bod bos bug bul cat ceb ces cjk ckb crh cym dan deu dik dyu dzo ell eng epo est eus ewe fao pes fij fin fon
fra fur fuv gla gle glg grn guj hat hau heb hin hne hrv hun hye ibo ilo ind isl ita jav jpn kab kac kam kan kas
kas_Deva kat knc knc_Latn kaz kbp kea khm kik kin kir kmb kon kor kmr lao lvs lij lim lin lit lmo ltg ltz lua lug luo
lus mag mai mal mar min mkd plt mlt mni khk mos mri zsm mya nld nno nob npi nso nus nya oci gaz ory pag pan pap pol
por prs pbt quy ron run rus sag san sat scn shn sin slk slv smo sna snd som sot spa als srd srp ssw sun swe swh szl
tam tat tel tgk tgl tha tir taq taq_Tfng tpi tsn tso tuk tum tur twi tzm uig ukr umb urd uzn vec vie war wol xho ydd
yor yue cmn cmn_Hant zul
"""

LARGE_LANGUAGES = tuple(_LARGE.split())
MEDIUM_LANGUAGES = tuple(_MEDIUM.split())

_TRANSFORMER = {
    "self_attn.output_proj": "self_attn.out_proj",
    "encoder_decoder_attn_layer_norm": "cross_attention_layer_norm",
    "encoder_decoder_attn.output_proj": "cross_attention.out_proj",
    "encoder_decoder_attn": "cross_attention",
    "ffn.inner_proj": "ffn.fc1",
    "ffn.output_proj": "ffn.fc2",
}
_FAIRSEQ_TRANSFORMER = {
    "encoder_attn_layer_norm": "cross_attention_layer_norm",
    "encoder_attn": "cross_attention",
    "fc1": "ffn.fc1",
    "fc2": "ffn.fc2",
    "final_layer_norm": "ffn_layer_norm",
}
_FAIRSEQ_ADAPTOR = FAIRSEQ_CONFORMER | {
    "residual_pool.1": "residual_conv",
    "attn_pool.1": "self_attn_conv",
    "fc1": "ffn.intermediate_dense",
    "fc2": "ffn.output_dense",
    "final_layer_norm": "ffn_layer_norm",
}
_NORMS = {f"text_{name}.layer_norm.": f"text_{name}.layer_norm." for name in ("encoder", "decoder")}

_FAIRSEQ2_NAMES = Names(
    {
        "speech_encoder_frontend.post_extract_layer_norm.": "speech_encoder.feature_projection.layer_norm.",
        "speech_encoder_frontend.model_dim_proj.": "speech_encoder.feature_projection.projection.",
        "speech_encoder.inner_layer_norm.": "speech_encoder.encoder.layer_norm.",
        "speech_encoder.proj1.": "speech_encoder.intermediate_ffn.intermediate_dense.",
        "speech_encoder.proj2.": "speech_encoder.intermediate_ffn.output_dense.",
        "speech_encoder.layer_norm.": "speech_encoder.inner_layer_norm.",
        **_NORMS,
    },
    {
        "speech_encoder.inner.layers.": ("speech_encoder.encoder.layers.", CONFORMER),
        "speech_encoder.adaptor_layers.": ("speech_encoder.adapter.layers.", CONFORMER),
        "text_encoder.layers.": ("text_encoder.layers.", _TRANSFORMER),
        "text_decoder.layers.": ("text_decoder.layers.", _TRANSFORMER),
    },
)
_FAIRSEQ_NAMES = Names(
    {
        "encoder.w2v_encoder.w2v_model.layer_norm.": "speech_encoder.feature_projection.layer_norm.",
        "encoder.w2v_encoder.w2v_model.post_extract_proj.": "speech_encoder.feature_projection.projection.",
        "encoder.w2v_encoder.w2v_model.encoder.layer_norm.": "speech_encoder.encoder.layer_norm.",
        "encoder.adaptor.proj.0.": "speech_encoder.intermediate_ffn.intermediate_dense.",
        "encoder.adaptor.proj.2.": "speech_encoder.intermediate_ffn.output_dense.",
        "encoder.adaptor.out_ln.": "speech_encoder.inner_layer_norm.",
        **_NORMS,
    },
    {
        "encoder.w2v_encoder.w2v_model.encoder.layers.": ("speech_encoder.encoder.layers.", FAIRSEQ_CONFORMER),
        "encoder.adaptor.layers.": ("speech_encoder.adapter.layers.", _FAIRSEQ_ADAPTOR),
        "text_encoder.layers.": ("text_encoder.layers.", _FAIRSEQ_TRANSFORMER),
        "text_decoder.layers.": ("text_decoder.layers.", _FAIRSEQ_TRANSFORMER),
    },
)

#: Copies of the embedding, by dialect; the first that there is counts.
_EMBEDDINGS = ("final_proj.weight", "text_encoder_frontend.embed.weight", "text_decoder_frontend.embed.weight")
_FAIRSEQ_EMBEDDINGS = tuple(
    f"text_{name}.weight" for name in ("decoder.output_projection", "encoder.embed_tokens", "decoder.embed_tokens")
)

#: Beginnings of the text-to-unit model's names: fairseq2's, then fairseq's.
TEXT_TO_UNIT = ("t2u_model.", "synthesizer_encoder.", "decoder.")

#: What is left of the training in a fairseq file.
_REMAINS = ("mask_emb", ".version", ".embed_positions._float_tensor")


def seamless_state(arrays: Mapping[str, Tensor], vocabulary: int, path: Path) -> tuple[dict[str, Tensor], list[str]]:
    """Rename a checkpoint's arrays to transformers' ``SeamlessM4TModel`` or ``SeamlessM4Tv2Model``.

    Parameters
    ----------
    arrays : mapping of str to Tensor
        The checkpoint's ``model``.
    vocabulary : int
        Rows that the embedding must have.
    path : Path
        For messages.

    Returns
    -------
    state : dict of str to Tensor
        The embedding as ``shared.weight``. What has no known name keeps its own, so that whoever fills a model with
        it finds it left over.
    left_out : list of str
        Arrays of the text-to-unit model, and remains of the training.

    Raises
    ------
    DataError
        If there is no embedding, or two arrays claim one name.
    """
    old = "speech_encoder.inner.layers.0.self_attn_layer_norm.weight" not in arrays
    left_out = [name for name in arrays if _is_left_out(name, old)]
    kept = {name: array for name, array in arrays.items() if name not in set(left_out)}
    if old:
        kept = {_one_root(name): array for name, array in kept.items()}
    copies = _FAIRSEQ_EMBEDDINGS if old else _EMBEDDINGS
    present = [name for name in copies if name in kept]
    if not present:
        raise DataError(f"weights {path} lack the embedding {copies[0]!r}: they are not a whole SeamlessM4T")
    embedding = kept[present[0]]
    for name in present:
        copy = kept.pop(name)
        if not old and copy.data_ptr() != embedding.data_ptr() and not copy.equal(embedding):
            raise DataError(f"weights {path}: {present[0]!r} and {name!r} differ, but are one embedding in SeamlessM4T")
    if old:
        if len(embedding) == vocabulary + 1:
            embedding = embedding[:-1]
        embedding = embedding.clone()
        embedding[[0, 1, 2, 3]] = embedding[[1, 3, 0, 2]]
    state, unknown = (_FAIRSEQ_NAMES if old else _FAIRSEQ2_NAMES).rename_all(kept, path)
    return {EMBEDDING: embedding, **state, **{name: kept[name] for name in unknown}}, left_out


def _is_left_out(name: str, old: bool) -> bool:
    if not old:
        return name.startswith(TEXT_TO_UNIT[0])
    return name.startswith((*TEXT_TO_UNIT, "decoder_target_letter_decoder.")) or name.endswith(_REMAINS)


def _one_root(name: str) -> str:
    """Return a name of fairseq's with the roots that it mostly has: older files have others."""
    name = re.sub(r"^speech_encoder\.", "encoder.", name)
    return re.sub(r"^(target_letter_decoder|shared_decoder)\.", "text_decoder.", name)
