"""The contract's statements as code."""
