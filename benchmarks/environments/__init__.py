"""The environments of the contenders, made once in the user's cache folder."""
