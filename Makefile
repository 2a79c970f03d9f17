# Needs python3 (3.10 or newer) with venv, make and git; everything else is installed into .venv.
PYTHON ?= python3
BIN := .venv/bin
DEEPMAT := $(BIN)/deepmat

.PHONY: install demo test check clean

install: .venv/installed

.venv/installed: pyproject.toml
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[dev]'
	touch $@

test: install
	$(BIN)/python -m pytest

check: install
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

demo: install
	rm -rf demo
	@echo '== a procedural data set =='
	$(DEEPMAT) synth demo/source --train 14 --test 7 --backgrounds 10 --size 320
	$(DEEPMAT) composite demo/source -o demo/data --per-foreground 3
	@echo '== the encoder: an untrained VGG16 stands in for the ImageNet weights, which would be a download =='
	$(DEEPMAT) convert-vgg --untrained -o demo/vgg16.safetensors

clean:
	rm -rf .venv demo
