"""Tasks that measure how far back a model reads; their texts are made here, to the token, for the model's tokenizer."""
