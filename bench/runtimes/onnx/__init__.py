"""What the runtimes that execute ONNX graphs are made of."""
