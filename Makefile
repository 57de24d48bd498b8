# Both commands of the README make .venv and install what they need into it.
PYTHON ?= python3
BIN := .venv/bin

.PHONY: quickstart test test-slow test-beam test-tfio test-formats benchmark lint clean

# Motions videos -> shards -> trained model -> accuracy -> SavedModel -> answers about held-out videos.
quickstart: .venv/.installed
	$(BIN)/python -m data.prepare --dataset=motions --video_dir=quickstart/videos --data_dir=quickstart/shards --short_side=128
	$(BIN)/python train.py --flagfile=quickstart.flags
	$(BIN)/python -m r3d_keras.evaluate --model=quickstart/model/model.keras --data_dir=quickstart/shards --output_dir=quickstart/results
	$(BIN)/python -m export.saved_model --model=quickstart/model/model.keras --output_dir=quickstart/bundle
	$(BIN)/python -m r3d_keras.predict --model=quickstart/bundle quickstart/videos/validation/*/000[0-2].*

test: .venv/.installed-test
	$(BIN)/python -m pytest -m "not slow"

test-slow: .venv/.installed-test
	$(BIN)/python -m pytest -m slow

# Preparation under Apache Beam, and data folders on gs://, in a virtual environment of its own.
test-beam: .venv-beam/.installed
	.venv-beam/bin/python -m pytest tests/data/test_beam.py tests/test_gcs.py

# Data folders on s3://, with the second stack, in a virtual environment of its own.
test-tfio: .venv-tfio/.installed
	.venv-tfio/bin/python -m pytest tests/test_s3.py tests/test_remote.py

# Models in other formats, each in its own runtime.
test-formats: .venv-benchmark/.installed
	.venv-benchmark/bin/python -m pytest tests/export/test_formats.py

# Against PyTorch, PIL, OpenVINO and ONNX Runtime; VIDEOS=folder takes real videos for the input rows.
benchmark: .venv-benchmark/.installed
	.venv-benchmark/bin/python -m tests.benchmarks $(if $(VIDEOS),--video_dir=$(VIDEOS))

lint: .venv/.installed-test
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .

clean:
	rm -rf .venv .venv-* quickstart

.venv/.installed: requirements.txt
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet -r requirements.txt
	touch $@

.venv/.installed-test: requirements.txt requirements-test.txt
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet -r requirements-test.txt
	touch $@ .venv/.installed

.venv-benchmark/.installed: requirements.txt requirements-test.txt requirements-formats.txt requirements-benchmark.txt
	$(PYTHON) -m venv .venv-benchmark
	.venv-benchmark/bin/python -m pip install --quiet -r requirements-benchmark.txt
	touch $@

.venv-%/.installed: requirements.txt requirements-%.txt requirements-%-test.txt
	$(PYTHON) -m venv .venv-$*
	.venv-$*/bin/python -m pip install --quiet -r requirements-$*-test.txt
	touch $@
