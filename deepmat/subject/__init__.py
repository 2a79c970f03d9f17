"""From a rough mask of the subject to a trimap that can be trusted."""
