"""Trained tasks as ONNX files, and the proof that they predict the same."""
