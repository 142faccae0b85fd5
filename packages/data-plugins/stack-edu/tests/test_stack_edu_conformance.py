"""The steps for source code hold what every data step must."""

import gzip
import hashlib

from smallwright_testing import StepConformance

CODE = "def add(a, b):\n    # the sum of two numbers\n    return a + b\n\n\nprint(add({n}, 2))\n"


def code_documents():
    """Source files, of which some rows say less than they should."""
    paths = ("a.py", "b.rs", "Makefile", "c.h", "noending", "d.unknown", "", "e.PY")
    licences = (
        {"license_type": "permissive"},
        {"license_type": "no_license"},
        {"detected_licenses": ["MIT", "GPL-3.0"]},
        {"detected_licenses": []},
        {"detected_licenses": "MIT"},
        {"license_type": 5},
        {"detected_licenses": [None, {"a": 1}]},
        {},
    )
    return [
        {"text": CODE.format(n=n), "id": f"code-{n}", "metadata": {"path": paths[n % 8], **licences[n // 2 % 8]}}
        for n in range(16)
    ]


class CodeConformance(StepConformance):
    """Source files beside what other documents hold."""

    @classmethod
    def documents(cls):
        return [*code_documents(), *super().documents()]


class TestCodeLanguage(CodeConformance):
    plugin = "code_language"


class TestLicenseFilter(CodeConformance):
    plugin = "license_filter"


class TestCodeQuality(CodeConformance):
    plugin = "code_quality"


class TestFetchContents(CodeConformance):
    plugin = "fetch_contents"
    settings = {"base": "set by prepare", "retries": 0, "refetch": True}

    @classmethod
    def documents(cls):
        """Rows without text, and of every kind of id: known, unknown, broken, missing."""
        documents = super().documents()
        for place, document in enumerate(documents):
            blob = hashlib.sha1(document["id"].encode()).hexdigest()
            ids = ({"blob_id": blob}, {"blob_id": blob, "src_encoding": "no-such-code"}, {"blob_id": "../x"}, {})
            document["metadata"] = {**document["metadata"], **ids[place % 7 if place % 7 < 4 else 0]}
        return documents

    @classmethod
    def prepare(cls, folder):
        """A store of the contents; two are no gzip, and every fifth is not there."""
        for place, document in enumerate(cls.documents()):
            blob = document["metadata"].get("blob_id", "../")
            data = gzip.compress(document["text"].encode("utf-8", "surrogatepass"), mtime=0)
            if "/" not in blob and place % 5:
                (folder / blob).write_bytes(data if place not in (1, 8) else data[: len(data) // 2])
        return {"base": str(folder)}
