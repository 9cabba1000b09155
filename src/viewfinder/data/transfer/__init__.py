"""Bytes from elsewhere to this disk: resumed, retried and checked, but never opened."""
