"""What goes over the wire between NovaFlow and a model server, contract 1.

    GET  /health          -> JSON {"contract": 1, "models": ["megasam", ...]}
    POST /models/<name>   body: npz of named arrays  -> npz of named arrays
                          or JSON {"code": "...", "reason": "..."} with an HTTP status of 400 and up

Headers both ways: `X-NovaFlow-Contract: 1`. Requests: `Authorization: Bearer <token>` where the
server was given one. An npz is a zip of plain arrays; pickled objects are refused on both sides, as
are archives whose contents exceed a limit, whatever they weigh on the wire.
"""

from __future__ import annotations

import io
import zipfile
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

VERSION = 1
VERSION_HEADER = "X-NovaFlow-Contract"
ARRAYS_TYPE = "application/x-npz"
DEFAULT_LIMIT_BYTES = 1 << 30

Arrays = Mapping[str, NDArray[Any]]


class PayloadError(ValueError):
    """Raised for a body that is no archive of plain arrays, or too large."""


def pack(arrays: Arrays) -> bytes:
    """Named arrays of plain numbers as a body.

    Raises:
        PayloadError: If an array holds objects.
    """
    for name, array in arrays.items():
        if array.dtype.hasobject:
            raise PayloadError(f"'{name}' holds objects, not numbers")
    stream = io.BytesIO()
    # Saved one by one: `savez` takes names as keywords, and one of them is its own.
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_STORED, allowZip64=True) as archive:
        for name, array in arrays.items():
            with archive.open(f"{name}.npy", "w", force_zip64=True) as member:
                np.lib.format.write_array(member, np.asanyarray(array), allow_pickle=False)
    return stream.getvalue()


def unpack(body: bytes, limit_bytes: int = DEFAULT_LIMIT_BYTES) -> dict[str, NDArray[Any]]:
    """Named arrays of a body.

    Raises:
        PayloadError: If it is no npz, holds anything but plain arrays, or more than the limit.
    """
    try:
        with zipfile.ZipFile(io.BytesIO(body)) as archive:
            size = sum(item.file_size for item in archive.infolist())
            if size > limit_bytes:
                raise PayloadError(f"the arrays take {size} bytes; {limit_bytes} are allowed")
            out = {}
            for item in archive.infolist():
                if not item.filename.endswith(".npy"):
                    raise PayloadError(f"'{item.filename}' is no array")
                with archive.open(item) as member:
                    array = np.lib.format.read_array(member, allow_pickle=False)
                out[item.filename.removesuffix(".npy")] = array
            return out
    except PayloadError:
        raise
    except (zipfile.BadZipFile, ValueError, EOFError, OSError, NotImplementedError) as error:
        raise PayloadError(f"no archive of plain arrays: {error}") from error
