"""The specimens that bench measures. They import `bench.contract` and nothing else of bench."""
