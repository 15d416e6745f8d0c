"""Other runtimes: OpenVINO and ONNX Runtime graphs, int8. Never imports training."""
