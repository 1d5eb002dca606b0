# Everything runs in its own environment in .venv; a target makes what it needs.
PYTHON ?= python3
VENV := .venv
DEPLOY := .venv-deploy# MONAI Deploy's, whose packages would change the training's
LABEL := .venv-monailabel# MONAI Label's, likewise
RUN := $(VENV)/bin/python
BUNDLE := $(RUN) -m monai.bundle run
DEMO := outputs/demo
DEMO_RESULTS := --output_dir $(DEMO)/results --ckpt_dir $(DEMO)/models
DEMO_CONFIGS := 'configs/cpu.yaml','configs/demo.yaml'

.PHONY: setup dev demo test coverage lint bench gpu-carry benchmark-random-forest benchmark-nnunet benchmark-stardist benchmark-cellpose benchmark-cellpose3 deploy test-deploy monailabel test-monailabel napari test-napari napari-pictures

setup: $(VENV)/.runtime ## the environment to train and predict

dev: $(VENV)/.dev ## setup and what tests need

$(VENV)/bin/python:
	$(PYTHON) -m venv $(VENV)
	$(RUN) -m pip install --quiet --upgrade pip

$(VENV)/.runtime: $(VENV)/bin/python requirements.txt pyproject.toml
	$(RUN) -m pip install --quiet -r requirements.txt
	$(RUN) -m pip install --quiet --no-deps -e .
	touch $@

$(VENV)/.dev: $(VENV)/.runtime requirements-dev.txt
	$(RUN) -m pip install --quiet -r requirements-dev.txt
	touch $@

demo: $(VENV)/.runtime ## train, evaluate, predict and report on the built-in data; 4 to 12 minutes on two CPU cores, with the installation
	$(BUNDLE) training --config_file "['bundle/configs/train.yaml',$(DEMO_CONFIGS)]"
	$(BUNDLE) evaluating --config_file "['bundle/configs/train.yaml','bundle/configs/evaluate.yaml',$(DEMO_CONFIGS)]" $(DEMO_RESULTS)
	$(BUNDLE) inferring --config_file "['bundle/configs/inference.yaml',$(DEMO_CONFIGS)]" --save_probabilities True $(DEMO_RESULTS)
	$(RUN) -m lazylabels_monai results $(DEMO)/results
	$(RUN) -m lazylabels_monai report $(DEMO)/results --images data/synthetic/datalist.json --training $(DEMO) \
		--weights $(DEMO)/models/model.pt --overwrite

# Each process begins with a share of the files in the order of the folders and takes from the others' shares when its own is done.
TESTS := $(RUN) -m pytest --numprocesses auto --maxprocesses 4 --dist worksteal

test: $(VENV)/.dev ## all tests; those on real images run where LAZYLABELS_DATA names them
	$(TESTS)

coverage: $(VENV)/.dev ## which lines of the package no test runs; what other processes run is not counted
	$(TESTS) --cov=lazylabels_monai --cov-report=term-missing:skip-covered

lint: $(VENV)/.dev
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .

bench: $(VENV)/.runtime ## seconds per training step and per predicted image on this machine
	$(RUN) -m lazylabels_monai bench

# Table 1's lazy labels of emps (configs/experiments/sets.yaml), and the wheels that such a machine lacks.
gpu-carry: $(VENV)/.runtime ## .carry/, which benchmarks/gpu.sh takes to a GPU without internet: make gpu-carry LAZYLABELS_DATA=folder
	$(if $(LAZYLABELS_DATA),,$(error LAZYLABELS_DATA=folder of the public sets, docs/public-sets.md))rm -rf .carry
	mkdir -p .carry/wheels
	$(RUN) -m pip download --quiet --no-deps --only-binary=:all: --requirement benchmarks/gpu-wheels.txt --dest .carry/wheels
	$(RUN) -m lazylabels_monai simulate "$(LAZYLABELS_DATA)/emps" .carry/emps --seed 0 --scale 0.5 --classes particle \
		--validation 16 --strong 0.1 --detection 0.75 --separation all
	tar -C .carry -cf .carry/emps.tar emps
	rm -r .carry/emps

# Other programs, each in an environment of its own, for configs/experiments/baselines.yaml and `bench others`; see docs/benchmarks.md.
benchmark-random-forest: benchmarks/random_forest/.venv/.made ## pixel classification by a random forest

benchmark-nnunet: benchmarks/nnunet_ignore/.venv/.made ## nnU-Net v2 with its ignore label

benchmark-stardist: benchmarks/stardist/.venv/.made ## StarDist

benchmark-cellpose: benchmarks/cellpose/.venv/.made ## Cellpose 4, a vision transformer

benchmark-cellpose3: benchmarks/cellpose3/.venv/.made ## Cellpose 3, a convolutional network

benchmarks/%/.venv/.made: benchmarks/%/requirements.txt
	$(PYTHON) -m venv $(@D)
	$(@D)/bin/python -m pip install --quiet --upgrade pip
	$(@D)/bin/python -m pip install --quiet -r $<
	touch $@

deploy: $(DEPLOY)/.done ## the environment of the MONAI Deploy app

$(DEPLOY)/.done: requirements-deploy.txt requirements.txt
	$(PYTHON) -m venv $(DEPLOY)
	$(DEPLOY)/bin/python -m pip install --quiet --upgrade pip
	$(DEPLOY)/bin/python -m pip install --quiet -r requirements-deploy.txt "pytest>=8"
	touch $@

# With the SDK there, `import monai` needs CUDA's runtime; the app itself finds the wheel's.
test-deploy: $(DEPLOY)/.done ## export, stage and run the MONAI Deploy app
	LD_LIBRARY_PATH=$$(echo $(CURDIR)/$(DEPLOY)/lib/python3*/site-packages/nvidia/cu13/lib) \
		$(DEPLOY)/bin/python -m pytest tests/acceptance/deploy

monailabel: $(LABEL)/.ready ## the environment of MONAI Label's server, apart from that of training

# The constraint reaches the environment in which sam2 is built: newer versions of pip want it told once more.
$(LABEL)/.ready: requirements-monailabel.txt pyproject.toml
	test -x $(LABEL)/bin/python || $(PYTHON) -m venv $(LABEL)
	grep '^torch==' requirements-monailabel.txt > $(LABEL)/torch.txt
	$(LABEL)/bin/python -m pip install --quiet --upgrade pip
	PIP_CONSTRAINT=$(LABEL)/torch.txt PIP_BUILD_CONSTRAINT=$(LABEL)/torch.txt \
		$(LABEL)/bin/python -m pip install --quiet -r requirements-monailabel.txt
	$(LABEL)/bin/python -m pip install --quiet --no-deps -e .
	touch $@

test-monailabel: $(LABEL)/.ready ## both apps behind MONAI Label's server, on loopback
	$(LABEL)/bin/python -m pip install --quiet pytest
	$(LABEL)/bin/python -m pytest tests/acceptance/monailabel

# In the same environment as the training, which the window starts: napari changes no version of requirements.txt.
napari: $(VENV)/.napari ## the window in napari, with the built-in images in outputs/napari (PROJECT=folder for another project)
	$(RUN) -m lazylabels_monai napari $(or $(PROJECT),outputs/napari --built-in)

$(VENV)/.napari: $(VENV)/.runtime requirements-napari.txt
	$(RUN) -m pip install --quiet -r requirements-napari.txt
	touch $@

# Qt draws into a screen that is only in memory; its offscreen platform has no OpenGL.
# LP_NUM_THREADS: OpenGL in software by the one thread that asks: several wait for each other where cores are busy.
XVFB := LP_NUM_THREADS=0 xvfb-run --auto-servernum --server-args "-screen 0 1920x1200x24"

test-napari: $(VENV)/.napari $(VENV)/.dev ## the window, moved by mouse and keys on a screen in memory (xvfb)
	$(RUN) -m pip install --quiet "pytest-qt>=4.5"
	$(XVFB) $(RUN) -m pytest tests/acceptance/napari

napari-pictures: $(VENV)/.napari ## the screenshots of docs/napari.md
	$(XVFB) $(RUN) tools/napari_pictures.py docs/images
