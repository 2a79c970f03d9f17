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

# A few minutes on two cores. Stage 1 begins with stage 0's weights here to make the most of them.
TRAIN := $(DEEPMAT) train --data demo/source --test demo/data --runs demo/runs --batch-size 4 --lr 1e-4 --print-every 20 \
	--test-every 100 --set data.cache=demo/cache --set data.augment.resize.size=[64,64] --set data.augment.crop.sizes=[64,96,128]

demo: install
	rm -rf demo
	@echo; echo '== Foregrounds and backgrounds, made by program; a test set of them'
	$(DEEPMAT) synth demo/source --train 50 --test 10 --backgrounds 24 --size 320
	$(DEEPMAT) composite demo/source -o demo/data --split test --per-foreground 1
	@echo; echo "== Cut-outs and scores of deepmat's own network, as it is: see demo/lite.png"
	$(DEEPMAT) predict demo/data/test/image -t demo/data/test/trimap -o demo/lite --save alpha,cutout,preview
	$(DEEPMAT) eval --data demo/data --sheet demo/lite.png
	@echo; echo '== Now a training from nothing: what its network will see'
	$(DEEPMAT) data show demo/source -o demo/samples.png
	@echo; echo '== First weights: an untrained VGG16 stands in for the ImageNet weights, which would be a download'
	$(DEEPMAT) convert-vgg --untrained -o demo/vgg16.safetensors
	@echo; echo '== A few steps of every training stage'
	$(TRAIN) --stage 0 --iterations 60 --pretrain demo/vgg16.safetensors
	$(TRAIN) --stage 1 --iterations 200 --pretrain demo/runs/stage0/best.safetensors
	$(TRAIN) --stage 2 --iterations 40
	$(TRAIN) --stage 3 --iterations 40
	@echo; echo '== Cut-outs and scores'
	$(DEEPMAT) predict demo/data/test/image -t demo/data/test/trimap -o demo/out \
		-w demo/runs/stage3/best.safetensors
	$(DEEPMAT) eval -w demo/runs/stage3/best.safetensors --data demo/data --sheet demo/sheet.png
	@echo; echo "Look at demo/lite.png, by deepmat's own network, and demo/sheet.png, by the one just trained: image | trimap |"
	@echo 'ground truth | prediction. Minutes of training from random weights make rough alphas; days make good ones.'

clean:
	rm -rf .venv demo

.PHONY: docs
docs: .venv/docs-installed
	$(BIN)/zensical build --strict --clean

.venv/docs-installed: .venv/installed
	$(BIN)/python -m pip install --disable-pip-version-check --editable '.[docs]'
	touch $@
