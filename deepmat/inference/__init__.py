"""Prediction: from a network, a picture and a trimap to alpha and files; and evaluation."""
