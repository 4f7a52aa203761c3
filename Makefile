.PHONY: help setup run test test-all check ui report clean
