"""Geometry of regions on an image, in percent of its width and height. Pure."""
