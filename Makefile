# The README's commands; each makes the virtual environment that it needs.
PYTHON ?= python3
BIN := .venv/bin

.PHONY: install quickstart real weights demo test test-slow test-beam test-tfio test-formats benchmark pictures lint clean

install: .venv/.installed

# Motions videos -> shards -> trained model -> accuracy -> SavedModel -> answers about held-out videos.
quickstart: .venv/.installed
	$(BIN)/r3d prepare quickstart/videos quickstart/shards --dataset=motions --short_side=128
	$(BIN)/r3d train --flagfile=quickstart.flags
	$(BIN)/r3d evaluate quickstart/model quickstart/shards --output_dir=quickstart/results
	$(BIN)/r3d export quickstart/model quickstart/bundle
	$(BIN)/r3d predict quickstart/bundle quickstart/videos/validation/*/000[0-2].*

# Any folder of videos, VIDEOS=folder -> shards -> model -> report -> a page of answers, below real/<name of the folder>.
# Where no video is held out there is no report, and a video may be one that cannot be read: the rest is made and named
# all the same, and make ends with an error.
REAL = real/$(shell basename "$(VIDEOS)")
real: .venv/.installed
	@test -d "$(VIDEOS)" || (echo "error: no such folder: make real VIDEOS=folder" >&2; exit 1)
	$(BIN)/r3d prepare "$(VIDEOS)" "$(REAL)/shards"
	$(BIN)/r3d train "$(REAL)/shards" "$(REAL)/model"
	@status=0; report=; run() { echo "$$@"; "$$@" || { status=1; false; }; }; \
	run $(BIN)/r3d evaluate "$(REAL)/model" "$(REAL)/shards" --output_dir="$(REAL)/results" && report=yes; \
	run $(BIN)/r3d predict "$(REAL)/model" --html="$(REAL)/answers.html" "$(VIDEOS)"; \
	echo "model   $(REAL)/model"; \
	test -z "$$report" || echo "report  $(REAL)/results/report.html"; \
	test ! -f "$(REAL)/answers.html" || \
		echo "answers $(REAL)/answers.html (about all videos, those that it learned from among them)"; \
	exit $$status

# The weights that come with the package, from the network of the quickstart; see r3d_keras/models/README.md.
weights: .venv/.installed
	$(BIN)/r3d prepare generated/videos generated/shards --dataset=generated --videos_per_class=200
	$(BIN)/r3d train --flagfile=generated.flags
	$(BIN)/python -c "from r3d_keras.models import load_model, shipped; \
	    shipped.pack(load_model('generated/model'), shipped.FOLDER / 'generated-resnet-18-quarter.npz')"

# A page on this machine about the model of the quickstart: its videos, yours, the webcam.
demo: .venv/.installed-demo
	@test -f quickstart/model/model.keras || (echo "error: no model yet: make quickstart" >&2; exit 1)
	$(BIN)/r3d demo quickstart/model

# Several processes, each with one thread for TensorFlow's kernels: see tests/README.md.
test: .venv/.installed-test
	$(BIN)/python -m pytest -m "not slow" -n auto --dist=loadfile

test-slow: .venv/.installed-test
	$(BIN)/python -m pytest -m slow -n auto --dist=loadfile

# Preparation under Apache Beam, and data folders on gs://, in a virtual environment of its own.
test-beam: .venv-beam/.installed
	.venv-beam/bin/python -m pytest tests/data/test_beam.py tests/test_gcs.py

# Data folders on s3://, with the second stack, in a virtual environment of its own.
test-tfio: .venv-tfio/.installed
	.venv-tfio/bin/python -m pytest tests/test_s3.py tests/test_remote.py

# Models in other formats, each in its own runtime.
test-formats: .venv-benchmark/.installed
	.venv-benchmark/bin/python -m pytest tests/export/test_formats.py tests/export/test_quantization.py \
		tests/export/test_first_convolution.py

# Against PyTorch, PIL, OpenVINO and ONNX Runtime; VIDEOS=folder takes real videos for the input rows.
benchmark: .venv-benchmark/.installed
	.venv-benchmark/bin/python -m tests.benchmarks $(if $(VIDEOS),--video_dir=$(VIDEOS))

# The README's picture, of the model that make quickstart leaves.
pictures: .venv/.installed
	$(BIN)/python -m tests.pictures

lint: .venv/.installed-test
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .

clean:
	rm -rf .venv .venv-* quickstart real generated build dist *.egg-info

.venv/.installed: requirements.txt pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(0 if (3, 10) <= sys.version_info < (3, 14) else "error: TensorFlow needs \
	Python 3.10 to 3.13, and $(PYTHON) is %d.%d: make install PYTHON=python3.12" % sys.version_info[:2])'
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet -r requirements.txt
	$(BIN)/python -m pip install --quiet --no-deps --editable .
	rm -rf build r3d_keras.egg-info  # what the build leaves beside the sources
	touch $@

.venv/.installed-demo: .venv/.installed requirements/demo.txt
	$(BIN)/python -m pip install --quiet -r requirements/demo.txt
	touch $@

.venv/.installed-test: .venv/.installed requirements/test.txt requirements/client.txt requirements/demo.txt \
		requirements/pytest.txt
	$(BIN)/python -m pip install --quiet -r requirements/test.txt
	touch $@

.venv-benchmark/.installed: requirements.txt requirements/test.txt requirements/formats.txt requirements/benchmark.txt
	$(PYTHON) -m venv .venv-benchmark
	.venv-benchmark/bin/python -m pip install --quiet -r requirements/benchmark.txt
	touch $@

.venv-%/.installed: requirements.txt requirements/%.txt requirements/%-test.txt
	$(PYTHON) -m venv .venv-$*
	.venv-$*/bin/python -m pip install --quiet -r requirements/$*-test.txt
	touch $@
