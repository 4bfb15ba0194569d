"""The store of a member: opened when first needed, wiped when it is damaged."""

import logging
from pathlib import Path

from headrace.runtime.contracts.store import Store
from headrace.runtime.errors import StoreCorruptError
from headrace.runtime.settings import WorkerSettings
from headrace.runtime.stores import store_kind

logger = logging.getLogger(__name__)


class MemberStore:
    """Holds the store of one group in one process, in `folder`. Outlives the member's sessions."""

    def __init__(self, settings: WorkerSettings, folder: Path | None) -> None:
        is_memory = settings.engine == "memory" or folder is None
        self._kind = store_kind("memory" if is_memory else settings.store)
        self._folder = (folder or Path()) / "store"
        self._cache_bytes = settings.store_cache_mb << 20
        self._store: Store | None = None

    def open(self) -> Store:
        """The store; damaged files are wiped, since the changelogs have everything."""
        if self._store is None:
            try:
                self._store = self._kind.open(self._folder, cache_bytes=self._cache_bytes)
            except StoreCorruptError as error:
                logger.error("%s; it is wiped and restored from the changelogs", error)  # noqa: TRY400 # told in full
                self._kind.wipe(self._folder)
                self._store = self._kind.open(self._folder, cache_bytes=self._cache_bytes)
        return self._store

    @property
    def opened(self) -> Store | None:
        """The store, while it is open. Thread-safe; it may be closed at any moment, and says so by `ClosedError`."""
        return self._store

    def wipe(self) -> None:
        """Delete what is there; the next `open` begins with nothing."""
        self.close()
        self._kind.wipe(self._folder)

    def close(self) -> None:
        """Release the files. May be called again."""
        if self._store is not None:
            self._store.close()
            self._store = None
