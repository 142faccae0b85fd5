"""Small classifiers that learn from labels how good a document is, and score every document of a corpus."""
