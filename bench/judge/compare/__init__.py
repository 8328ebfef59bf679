"""Whether a version got slower: two in the same blocks of one run, or runs of different times."""
