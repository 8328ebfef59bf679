"""NVIDIA TensorRT: graphs are compiled into engines by a builder, and tenants execute the engines."""
