"""Swin itself, for any rank: windows, attention, layers, backbone."""
