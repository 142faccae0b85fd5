"""The step ``license_filter``: keep files whose licence allows it."""

from typing import Any

from core.data.steps import DocumentStep, Rejection
from datatrove.data import Document

from smallwright_stack_edu.config import LicenseFilterConfig

NO_LICENSE = "no_license"


class LicenseFilter(DocumentStep):
    """Keep files by their kind of licence, or where the rows have no kind by the names of their licences.

    Reasons: ``licence not allowed``, ``no licence known``. Table ``licence``: all files by kind, or by name.
    """

    config: LicenseFilterConfig

    def __init__(self, config: LicenseFilterConfig | None = None) -> None:
        super().__init__(config or LicenseFilterConfig())
        self._allowed = {name.lower() for name in self.config.licenses}

    def process_document(self, document: Document) -> Document:
        kind = document.metadata.get(self.config.type_field)
        if isinstance(kind, str) and kind:
            self.count("licence", kind[:40])
            if kind not in self.config.types:
                raise Rejection("licence not allowed")
            return document
        if self.config.licenses_field not in document.metadata:
            self.count("licence", "not known")
            if self.config.missing == "reject":
                raise Rejection("no licence known")
            return document
        names = _names(document.metadata[self.config.licenses_field])
        for name in names or [NO_LICENSE]:
            self.count("licence", name[:40])
        allowed = self._allowed.issuperset(name.lower() for name in names) if names else NO_LICENSE in self.config.types
        if not allowed:
            raise Rejection("licence not allowed")
        return document


def _names(value: Any) -> list[str]:
    values = value if isinstance(value, (list, tuple)) else [value]
    return [str(name).strip() for name in values if name is not None and str(name).strip()]
