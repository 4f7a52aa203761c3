"""Objects under one address of an object storage: put once, replaced only as they were read, listed, fetched whole.

``s3://BUCKET/PREFIX`` is any server that speaks S3 and honours If-None-Match and If-Match; ``file:///FOLDER`` is a folder, for a shared disk and for
tests. obstore does the work (extra ``remote``) and tries passing faults of the network again. Credentials are read by it from the environment
(``AWS_ACCESS_KEY_ID`` and the like), and are neither kept nor shown here.

Ours: all of it.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from igsm_pipeline.errors import BadSettings, StoreError, install_extra
from igsm_pipeline.store.files import written_whole
from igsm_pipeline.store.locks import locked

REMOTE = "IGSM_REMOTE"
"""Environment variable: the address; without it nothing here is used and obstore need not be installed."""
ENDPOINT = "AWS_ENDPOINT_URL"
RETRIES = 8
"""How often obstore tries again; with its pauses that is half a minute."""
_CHUNK = 8 << 20
_S3 = re.compile(r"s3://([a-z0-9][a-z0-9.-]{1,61}[a-z0-9])(?:/([^?#@]*))?")


class Objects:
    """What lies below one address.

    Args:
        address: ``s3://BUCKET/PREFIX`` or ``file:///FOLDER``.

    Raises:
        BadSettings: it is no such address; it is not shown, since some people write keys into it.
        StoreError: obstore is not installed, or refuses the environment's settings.
    """

    def __init__(self, address: str) -> None:
        try:
            import obstore  # noqa: PLC0415  (an extra, needed only where IGSM_REMOTE is set)
            from obstore import exceptions, store  # noqa: PLC0415
        except ModuleNotFoundError:
            raise StoreError(f"{REMOTE} needs the package obstore, got none; {install_extra('remote')}, or unset {REMOTE}") from None
        self._api: Any = obstore
        self._errors: Any = exceptions
        self.folder: Path | None = None
        s3 = _S3.fullmatch(address)
        if address.startswith("file:///") and len(address) > len("file:///"):
            self.folder = Path(address.removeprefix("file://"))
            self.address = f"file://{self.folder}"
        elif s3:
            self.address = f"s3://{s3[1]}/{s3[2] or ''}".rstrip("/")
        else:
            raise BadSettings(REMOTE, "must be s3://BUCKET/PREFIX or file:///FOLDER", address.partition(":")[0], "correct it, or unset it")
        with self._told("open", ""):
            if self.folder is not None:
                self._store: Any = store.LocalStore(self.folder, mkdir=True)
            else:
                assert s3 is not None
                plain = os.environ.get(ENDPOINT, "").startswith("http://")
                options: dict[str, Any] = {"client_options": {"allow_http": True}} if plain else {}
                self._store = store.S3Store(s3[1], prefix=(s3[2] or "").strip("/") or None, retry_config={"max_retries": RETRIES}, **options)

    def put(self, key: str, source: Path) -> None:
        """Put a file, whole or not at all, in place of what may be there."""
        with self._told("put", key):
            self._api.put(self._store, key, source)

    def create(self, key: str, data: bytes) -> str | None:
        """Put an object where there is none. Returns its version; None if another one is there."""
        with self._told("put", key):
            try:
                return str(self._api.put(self._store, key, data, mode="create")["e_tag"])
            except self._errors.AlreadyExistsError:
                return self._version_if(key, data)

    def swap(self, key: str, data: bytes, version: str) -> str | None:
        """Put an object in place of one version of it. Returns its new version; None if the version there is another, or none is there."""
        with self._told("put", key):
            if self.folder is None:
                try:
                    return str(self._api.put(self._store, key, data, mode={"e_tag": version})["e_tag"])
                except self._errors.PreconditionError:
                    return self._version_if(key, data)
            with locked(self.folder / ".lock"):  # folders know no conditional replacement
                found = self.read(key)
                return None if found is None or found[1] != version else str(self._api.put(self._store, key, data)["e_tag"])

    def _version_if(self, key: str, data: bytes) -> str | None:
        """The version of an object that is what was to be put: the put had been done, and its answer was lost on the way."""
        found = self.read(key)
        return found[1] if found is not None and found[0] == data else None

    def read(self, key: str) -> tuple[bytes, str] | None:
        """An object's bytes and version; None if there is none."""
        with self._told("read", key):
            try:
                got = self._api.get(self._store, key)
                return bytes(got.bytes()), str(got.meta["e_tag"])
            except FileNotFoundError:
                return None

    def fetch(self, key: str, target: Path) -> bool:
        """Write an object to a file, whole or not at all. Returns whether there is one."""
        with self._told("read", key):
            try:
                got = self._api.get(self._store, key)
            except FileNotFoundError:
                return False
            target.parent.mkdir(parents=True, exist_ok=True)
            with written_whole(target) as temporary, temporary.open("wb") as out:
                for chunk in got.stream(min_chunk_size=_CHUNK):
                    out.write(chunk)
            return True

    def sizes(self, folder: str) -> dict[str, int]:
        """Bytes of every object below a folder, by its name there."""
        with self._told("list", folder):
            found = (meta for batch in self._api.list(self._store, folder) for meta in batch)
            return {str(meta["path"]).removeprefix(f"{folder}/"): int(meta["size"]) for meta in found}

    def remove(self, key: str) -> None:
        """Remove an object; none there is no error."""
        with self._told("remove", key), suppress(FileNotFoundError):
            self._api.delete(self._store, key)

    @contextmanager
    def _told(self, verb: str, key: str) -> Iterator[None]:
        """Turn what obstore says into one line."""
        try:
            yield
        except (self._errors.BaseError, FileNotFoundError, PermissionError, NotImplementedError) as error:
            where = f"{self.address}/{key}" if key else self.address
            advice = f"see to the address, the credentials and {ENDPOINT}, then rerun; or unset {REMOTE} to work without it"
            raise StoreError(f"cannot {verb} {where}: {_short(error)}; {advice}") from None


def _short(error: Exception) -> str:
    """What an error says, on one line, without the request's signature and without names and passwords in addresses."""
    text = str(error).partition("Debug source")[0]
    code, message = re.search(r"<Code>([^<]*)", text), re.search(r"<Message>([^<]*)", text)
    if code:
        text = f"{code[1]}: {message[1]}" if message else code[1]
    return re.sub(r"//[^/\s]*@", "//", " ".join(text.split()))[:300].rstrip(" .;") or type(error).__name__
