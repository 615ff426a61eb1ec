"""Views of videos, their scores, and the figures of a test."""
