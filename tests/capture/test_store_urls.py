"""Stores on URLs: in memory, and on an S3-compatible server of this machine."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from babelscope import cli
from babelscope.capture import Activations, encode
from babelscope.capture.layout import shard_key
from babelscope.capture.locking import Owner, lock
from babelscope.capture.storage import LOCK_KEY, storage_of
from babelscope.capture.verify import verify
from babelscope.corpora import Corpus
from babelscope.errors import DataError, UsageError
from babelscope.gaps import compare
from babelscope.models import Model

pytest.importorskip("obstore")


@pytest.fixture(scope="module")
def bucket() -> Iterator[str]:
    server_of = pytest.importorskip("moto.server")
    boto3 = pytest.importorskip("boto3")
    server = server_of.ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    said = {
        "AWS_ACCESS_KEY_ID": "testing",
        "AWS_SECRET_ACCESS_KEY": "testing",
        "AWS_REGION": "us-east-1",
        "AWS_ENDPOINT_URL": f"http://{host}:{port}",
        "AWS_ALLOW_HTTP": "true",
    }
    with pytest.MonkeyPatch.context() as environment:
        for name, value in said.items():
            environment.setenv(name, value)
        client = boto3.client("s3", region_name="us-east-1", endpoint_url=said["AWS_ENDPOINT_URL"])
        client.create_bucket(Bucket="studies")
        yield "s3://studies"
    server.stop()


@pytest.fixture(params=["memory", "s3"])
def url(request: pytest.FixtureRequest) -> str:
    name = f"{request.node.name.split('[')[0]}.zarr"
    return f"memory://{name}" if request.param == "memory" else f"{request.getfixturevalue('bucket')}/some/{name}"


def test_a_study_on_a_url_is_what_it_is_in_a_folder(url: str, tiny_model: Model, tones: Corpus, tmp_path: Path) -> None:
    few = tones.select(languages=["xa", "xb"])
    here, there = (encode(tiny_model, few, where, block=5) for where in (tmp_path / "a.zarr", url))
    assert there.complete and there.name == url.rpartition("/")[2]
    for modality in here.modalities:
        for point in here.points(modality):
            for language in here.languages:
                np.testing.assert_array_equal(
                    there.matrix(point, modality, language), here.matrix(point, modality, language)
                )
    scores = [
        compare(one, ["linear_cka"], controls=["none"], permutations=19, interval=False).scores for one in (here, there)
    ]
    assert scores[0].equals(scores[1])
    assert LOCK_KEY not in list(storage_of(url).keys())


def test_a_damaged_object_is_named_and_made_anew(url: str, tiny_model: Model, tones: Corpus) -> None:
    few = tones.select(languages=["xa"])
    whole = encode(tiny_model, few, url, block=5)
    before = whole.matrix("text.pooled", "text", "xa")
    place, key = storage_of(url), shard_key(0, 0, 1)
    content = bytearray(place.read(key) or b"")
    content[50] ^= 1
    place.reached.put(key, bytes(content))  # type: ignore[union-attr]
    assert [damage.where for damage in verify(url, repair=True).damages] == ["text xa, sentences 's05' to 's09'"]
    assert Activations(url).done.sum() == 5
    np.testing.assert_array_equal(encode(tiny_model, few, url, block=5).matrix("text.pooled", "text", "xa"), before)


def test_a_lock_is_put_only_if_there_is_none(url: str) -> None:
    place = storage_of(url)
    with lock(url):
        with pytest.raises(DataError, match=rf"another run \(process {Owner.me().pid} "), lock(url):
            pass
        assert place.exists(LOCK_KEY)
    assert not place.exists(LOCK_KEY)
    elsewhere = dataclasses.replace(Owner.me(), host="node-17", pid=42)
    place.reached.put(LOCK_KEY, elsewhere.encoded())  # type: ignore[union-attr]
    with pytest.raises(DataError, match=r"process 42 of .* on node-17 .*last sign of life"), lock(url):
        pass
    dead = dataclasses.replace(Owner.me(), pid=2**22 + 1)
    place.reached.put(LOCK_KEY, dead.encoded())  # type: ignore[union-attr]
    with lock(url):
        pass


def test_another_store_is_replaced_whole(url: str, tiny_model: Model, tones: Corpus) -> None:
    encode(tiny_model, tones.select(languages=["xa"]), url, block=5)
    with pytest.raises(UsageError, match="another corpus, languages"):
        encode(tiny_model, tones.select(languages=["xb"]), url, block=5)
    assert encode(tiny_model, tones.select(languages=["xb"]), url, block=5, overwrite=True).languages == ("xb",)


def test_what_cannot_be_a_store_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"no store of kind 'ftp'"):
        Activations("ftp://host/a.zarr")
    with pytest.raises(UsageError, match="name a folder in the bucket"):
        Activations("s3://bucket")
    with pytest.raises(DataError, match="not a store of activations"):
        Activations("memory://nothing.zarr")
    assert storage_of(Path("s3://bucket/a.zarr")).location == "s3://bucket/a.zarr"
    assert cli.main(["compare", "memory://nothing.zarr"]) == 1
