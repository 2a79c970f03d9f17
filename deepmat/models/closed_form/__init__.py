"""Closed-form matting (Levin et al. 2008), which needs no training: what networks are compared with."""
