# Needs python3 (3.10 or newer) with venv, make and git; everything else is installed into .venv.
# A .venv that is there keeps its packages: `python3 -m venv .venv`, torch's CPU build into it, then `make`.
PYTHON ?= python3
BIN := .venv/bin
DEEPMAT := $(BIN)/deepmat
PIP := $(BIN)/python -m pip install --disable-pip-version-check
# Threads that wait for each other sleep: where other work takes a core, spinning costs up to ten times the time.
export OMP_WAIT_POLICY ?= passive

.PHONY: install demo test test-all check docs clean

install: .venv/installed

.venv/installed: pyproject.toml
	@echo '== Installing deepmat, PyTorch and the tools of development into .venv: minutes. On Linux, the default build of'
	@echo '== PyTorch with its CUDA libraries is several GB; README.md, "Install", says how to get the small one for CPUs.'
	$(PYTHON) -m venv .venv
	$(PIP) --editable '.[dev]'
	touch $@

# A process for each core, each with one thread.
PYTEST := OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n logical

test: install
	$(PYTEST)

test-all: install
	$(PYTEST) -m 'slow or not slow'

check: install
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

.venv/docs-installed: pyproject.toml .venv/installed
	$(PIP) --editable '.[docs]'
	touch $@

docs: .venv/docs-installed
	$(BIN)/zensical build --strict --clean

# Five minutes on two cores. DIM with an eighth of its channels learns from small samples, with trimaps as narrow as those
# of the test set, so that minutes show something.
DIM := $(DEEPMAT) train --data demo/source --runs demo/runs --workers 0 --print-every 50 --set data.cache=demo/cache \
	--set data.augment.resize.size=[96,96] --set data.augment.crop.sizes=[128,160] --set data.augment.trimap.iterations=[2,6]
SMALL_DIM := $(DIM) --test demo/data --set model.width=0.125 --batch-size 4 --set train.schedule.name=cosine

demo: install
	rm -rf demo
	@echo; echo '== 1. Draw foregrounds and backgrounds; composite a test set of 10 pictures'
	$(DEEPMAT) synth demo/source --train 50 --test 10 --backgrounds 24 --size 320
	$(DEEPMAT) composite demo/source -o demo/data --split test --per-foreground 1
	@echo; echo '== 2. Cut out with lite, the network that is part of deepmat'
	$(DEEPMAT) predict demo/data/test/image/test_hair_0000_0.png -t demo/data/test/trimap/test_hair_0000_0.png \
		-o demo/first --save sheet.png,cutout
	@echo; echo '== A first picture to look at: demo/first/sheet/test_hair_0000_0.png. Without a trimap, by a box and a point:'
	$(DEEPMAT) cut demo/data/test/image/test_hair_0000_0.png --box 5,60,258,320 --point 75,120 \
		-o demo/cut --save sheet.png,cutout
	@echo; echo '== Look at demo/cut/sheet/test_hair_0000_0.png. All ten with their trimaps, and their scores: demo/lite.png'
	$(DEEPMAT) predict demo/data/test/image -t demo/data/test/trimap -o demo/lite --save alpha,cutout,preview
	$(DEEPMAT) eval -p demo/lite/alpha --data demo/data --sheet demo/lite.png
	@echo; echo '== 3. Train Deep Image Matting. What the network sees: demo/samples.png'
	$(DEEPMAT) data show demo/source -o demo/samples.png
	@echo; echo '== First weights: a random VGG16 in place of the ImageNet weights, which are a download. Stage 0 begins with them:'
	@echo '== three steps of the whole network, which takes days on a GPU to learn'
	$(DEEPMAT) convert-vgg --untrained -o demo/vgg16.safetensors
	$(DIM) --stage 0 --pretrain demo/vgg16.safetensors --name stage0-full --iterations 3
	@echo; echo '== All four stages of a DIM with an eighth of the channels, from random weights'
	$(SMALL_DIM) --stage 0 --pretrain none --lr 3e-3 --iterations 50
	$(SMALL_DIM) --stage 1 --pretrain demo/runs/stage0/best.safetensors --lr 3e-3 --iterations 700
	$(SMALL_DIM) --stage 2,3 --lr 3e-4 --iterations 50
	@echo; echo '== 4. Cut out and score with the network just trained'
	$(DEEPMAT) predict demo/data/test/image -t demo/data/test/trimap -o demo/out -w demo/runs/stage3/best.safetensors
	$(DEEPMAT) eval -w demo/runs/stage3/best.safetensors --data demo/data --sheet demo/sheet.png
	$(DEEPMAT) runs demo/runs -o demo/curves.png
	@echo; echo 'Look at demo/lite.png, by lite, and demo/sheet.png, by the DIM just trained: image | trimap | ground truth |'
	@echo 'prediction. Two minutes of training from random weights make rough alphas; days on a GPU make good ones.'
	@echo 'demo/lite/cutout has the cut-outs, demo/curves.png the losses and scores of the training.'

clean:
	rm -rf .venv demo site
