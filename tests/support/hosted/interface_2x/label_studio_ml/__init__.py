"""The 2.x interface of label-studio-ml, which is on no package index: what of it a model touches, in our words."""
