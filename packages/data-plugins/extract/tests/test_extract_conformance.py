"""The extracting step holds what every data step must."""

from smallwright_testing import StepConformance


class TestExtractText(StepConformance):
    plugin = "extract_text"

    @classmethod
    def documents(cls):
        """Pages: the documents' texts as HTML, and as they are."""
        documents = super().documents()
        for document in documents[::2]:
            paragraphs = "</p><p>".join(document["text"][:20_000].split("\n\n"))
            document["text"] = f"<html><body><main><p>{paragraphs}</p></main></body></html>"
        return documents
