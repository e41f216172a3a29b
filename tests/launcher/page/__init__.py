"""Tests of the page: its fold, its picture, its server."""
