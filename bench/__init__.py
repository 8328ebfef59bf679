"""bench measures optimised models on partitioned GPUs, and says which published speed-up claims hold there."""

__version__ = "0.1.0"
