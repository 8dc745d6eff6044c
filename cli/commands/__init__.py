"""The commands of `fitstop`, by what they are about."""
