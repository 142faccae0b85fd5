"""Labels that say how good a document is, given by rules or by a language model."""
