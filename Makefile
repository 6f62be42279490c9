# Every target makes what it needs: .venv is built at the first use and again when pyproject.toml changes.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/installed
BASE := build/base
EXAMPLE := src/memreward/demo/qwen2.5-coder-0.5b_reasoning-gym.jsonl.gz
DEMO := runs/demo
TESTBED := examples/testbed
ROLLOUTS ?= ../shared/data/rollouts
QUESTIONS ?= ../shared/data/questions
# One more than cores: a worker waits for others, a process or a clock, a quarter of its time.
WORKERS ?= $(shell expr $$(getconf _NPROCESSORS_ONLN) + 1)
TARGET ?= parsers
NUMERICS := $(addprefix tests/,answers evaluation features network reward)
LOWEST := build/lowest
WITHOUT_TORCH := $(addprefix tests/,answers cli data/test_hostile_files.py data/test_rollout_files.py domains features label memory sandbox service)
RECENT = $(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
  { echo "memreward needs Python 3.11 or newer, and $(PYTHON) is older or missing: name another by make PYTHON=python3.12" >&2; exit 1; }
LABELLED := date_gpt-3.5-turbo_10samples mmlu-pro_llama-3_base medqa_gpt-3.5_gpt-4_mirage
PREDICTION := benchmarks/results/prediction
TRAINING := benchmarks/results/training
SUITE := benchmarks/results/suite
SHIPPED := $(EXAMPLE) $(wildcard examples/sources/*.jsonl.gz)
# As sources they gained nothing for other files (examples/sources/README.md): measured only.
MEASURED := $(patsubst %,examples/sources/qwen2.5-coder-%.jsonl.gz,0.5b_gym-choice_t0.7 0.5b_piqa_t0.7 \
  0.5b_commonsenseqa_t0.7 1.5b_openbookqa_t0.7 1.5b_siqa_t1.0)
EXPERIMENT = $(BIN)/python -m lab experiment --start $(TESTBED) --measure-every 0 --out runs/training
ARMS := oracle,labelled,memreward,majority+labels

# Without bytecode every worker and every process that a test starts would compile the sources anew: 8 s a run, and more.
unexport PYTHONDONTWRITEBYTECODE
export HF_HUB_OFFLINE := 1
export TOKENIZERS_PARALLELISM := false
export PIP_DISABLE_PIP_VERSION_CHECK := 1

demo prediction training real-llm: export MEMREWARD_CACHE := runs/cache

.DEFAULT_GOAL := help
.PHONY: help demo label-demo label-simulation test test-fast test-label test-lowest test-blas test-python test-verl test-openrlhf test-verifiers test-ray test-label-studio test-service-fuzz test-kills layout lint format wheel-check install-cost suite release-notes docs notebook bench bench-service bench-label prediction readme prior training real-llm verifiers fuzz collect-example collect-sources clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-18s %s\n", $$1, $$2 }' Makefile

demo: build/demo/installed ## what no label, five, twenty and a fifth of them are worth on the shipped rollouts, in a minute
	build/demo/bin/memreward demo --out $(DEMO)

label-demo: build/label/installed ## open the labelling page on the shipped rollouts, with no label spent
	@rm -rf runs/label
	build/label/bin/memreward warmup $(EXAMPLE) --memory runs/label/memory --labels 0
	build/label/bin/memreward label --memory runs/label/memory --labels 20

test: $(STAMP) ## run the tests (pytest, one worker more than cores, in random order)
	$(BIN)/pytest -n $(WORKERS)

test-fast: $(STAMP) ## run the tests that are not marked slow, with fewer examples, and name the files of those that are
	$(BIN)/pytest -n $$(expr $(WORKERS) + 1) -m 'not slow' --ignore=tests/test_layout.py
	@echo "left out as well: tests/test_layout.py, which is make layout, and two thirds of six long tables of answers"

test-label: $(STAMP) ## label in a real browser (installs playwright and axe; needs Debian's chromium)
	$(BIN)/python -m pip install --quiet playwright axe-playwright-python
	$(BIN)/pytest tests/label/test_browser.py

test-blas: $(STAMP) ## run the numerics' tests on three kernels of OpenBLAS and of torch, with one and two threads
	@set -e; for kernel in $$(sh .ci/kernels); do for threads in 1 2; do \
	  case $$kernel in SKYLAKEX) isa=avx512 ;; HASWELL) isa=avx2 ;; *) isa=default ;; esac; \
	  echo "OPENBLAS_CORETYPE=$$kernel ATEN_CPU_CAPABILITY=$$isa, $$threads threads"; \
	  OPENBLAS_CORETYPE=$$kernel ATEN_CPU_CAPABILITY=$$isa OMP_NUM_THREADS=$$threads OPENBLAS_NUM_THREADS=$$threads \
	  $(BIN)/pytest -n $(WORKERS) $(NUMERICS); done; done

test-lowest: $(LOWEST)/installed ## run the fast tests with the lowest versions that pyproject.toml admits, in $(LOWEST)
	$(LOWEST)/bin/pytest -n $(WORKERS) -m 'not slow'

test-python: ## run the fast tests of what needs no torch under another interpreter: make test-python PYTHON=python3.14
	@$(PYTHON) -m venv build/python
	@build/python/bin/pip install --quiet --no-input --editable '.[parquet,baselines,endpoint,serve,label]' \
	  pytest pytest-randomly pytest-timeout pytest-xdist hypothesis psutil
	build/python/bin/pytest -n $(WORKERS) -m 'not slow' $(WITHOUT_TORCH)

test-verl test-openrlhf test-verifiers test-ray test-label-studio: test-%: build/trainers/%/installed ## test against the package itself, in an environment of its own
	build/trainers/$*/bin/pytest tests/trainers/test_with_$(subst -,_,$*).py -m slow -p no:randomly -p no:unraisableexception

test-service-fuzz: build/trainers/service-fuzz/installed ## send the service what its description allows and forbids: no 500, replies as described
	PATH=$(CURDIR)/$(dir $<)bin:$$PATH sh .ci/fuzz_service

test-kills: $(STAMP) ## kill the service a hundred times while clients send split groups
	KILLS=100 $(BIN)/pytest tests/service/test_killed.py -k again -s -p no:randomly

layout: $(STAMP) ## hold the layers, the lazy imports and the ban on pickle, eval and exec
	@$(BIN)/pytest tests/test_layout.py

lint: $(STAMP) ## ruff check, ruff format --check, mypy
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: $(STAMP) ## let ruff repair and format
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

wheel-check: build/tools/installed ## build the wheel, check it, run its demo and every command where it alone is installed, and its demo with the lowest versions
	@rm -rf $(BASE) $(BASE)-lowest build/wheel
	@build/tools/bin/pip wheel --quiet --no-input --no-deps --wheel-dir build/wheel .
	@build/tools/bin/twine check --strict build/wheel/*.whl
	@build/tools/bin/check-wheel-contents build/wheel/*.whl
	@$(PYTHON) -m venv $(BASE)
	@$(BASE)/bin/pip install --quiet --no-input build/wheel/*.whl
	@$(BASE)/bin/python .ci/base_check.py
	@$(PYTHON) -m venv $(BASE)-lowest
	@sh .ci/lowest $(BASE)-lowest build/wheel/*.whl
	@$(BASE)-lowest/bin/memreward demo --out $(BASE)-lowest/demo

notebook: build/notebook/installed ## make the tutorial's notebook of docs/tutorial.md and run it in a base install
	build/notebook/bin/python .ci/notebook.py --run

docs: build/docs/installed ## build the site in build/site, offline; a link that leads nowhere is an error
	NO_MKDOCS_2_WARNING=1 build/docs/bin/mkdocs build --strict
	@echo "open build/site/index.html; its search wants a server: $(PYTHON) -m http.server -d build/site"

install-cost: build/tools/installed ## measure what an install and each extra costs, for docs/install.md (20 GB pass through)
	PATH=$(CURDIR)/build/tools/bin:$$PATH $(PYTHON) benchmarks/install_cost.py

suite: $(STAMP) ## run the suite over the shipped files, then over those of ROLLOUTS too, and write benchmarks/results/suite
	$(BIN)/memreward evaluate $(SHIPPED) --suite --execute auto --page --out runs/suite/shipped \
	  --csv $(SUITE)/shipped.csv
	cp runs/suite/shipped/evaluation.md $(SUITE)/shipped.md
	@test -d $(ROLLOUTS) || { echo "no folder $(ROLLOUTS): name one by make suite ROLLOUTS=FOLDER" >&2; exit 1; }
	$(BIN)/memreward evaluate $(ROLLOUTS) $(SHIPPED) --suite --execute auto --page --out runs/suite/all > $(SUITE)/all.txt

release-notes: ## print what the changelog says of the newest version
	@awk '/^## / { part++ } part == 1' CHANGELOG.md

bench-service: $(STAMP) ## time the service on loopback and write benchmarks/results/service.md
	@test -d $(ROLLOUTS) || { echo "no folder $(ROLLOUTS): name one by make bench-service ROLLOUTS=FOLDER" >&2; exit 1; }
	$(BIN)/python benchmarks/service.py $(ROLLOUTS)/math500_qwen2.5-math-1.5b.jsonl.gz --steady 100000 > benchmarks/results/service.md

bench-label: $(STAMP) ## time the first question, and the next ones, of a memory of a million rollouts
	$(BIN)/python benchmarks/label_load.py > benchmarks/results/label_load.md
	$(BIN)/python benchmarks/label_load.py --questions 6000 --rollouts 4 --refit >> benchmarks/results/label_load.md

bench: $(STAMP) ## time scoring, warmup and encoding
	$(BIN)/python benchmarks/bench.py $(patsubst %,--rollouts %,$(wildcard $(ROLLOUTS)/math500_qwen2.5-math-1.5b.jsonl.gz)) \
	  --out benchmarks/results/speed.md

prediction: $(STAMP) ## evaluate on every file of ROLLOUTS and write the tables of benchmarks/results/prediction
	@test -d $(ROLLOUTS) || { echo "no folder $(ROLLOUTS): name one by make prediction ROLLOUTS=FOLDER" >&2; exit 1; }
	$(BIN)/memreward evaluate $(ROLLOUTS)/*.jsonl.gz $(EXAMPLE) --labels 0,5,20,50 --seeds 10 --execute auto \
	  --predictors memreward,majority,majority_hard,label_model,majority_calibrated,logistic_evidence,random \
	  --out runs/prediction/all --page
	cp runs/prediction/all/evaluation.md $(PREDICTION)/all.md
	$(BIN)/python benchmarks/prediction.py runs/prediction/all/evaluation.json > $(PREDICTION)/summary.md
	$(PYTHON) benchmarks/readme.py
	$(BIN)/memreward evaluate $(wildcard examples/sources/*.jsonl.gz) --labels 0,5,20 --seeds 3 --out runs/prediction/own
	$(BIN)/python benchmarks/prediction.py runs/prediction/own/evaluation.json --own > $(PREDICTION)/own.md
	$(BIN)/memreward evaluate $(EXAMPLE) $(ROLLOUTS)/math500_qwen2.5-math-1.5b.jsonl.gz --labels 20% --seeds 2 \
	  --predictors memreward,majority,logistic,mlp,neighbours,paper,no_propagation,no_network \
	  --out runs/prediction/paper
	cp runs/prediction/paper/evaluation.md $(PREDICTION)/paper.md

readme: ## make the README's picture and table anew from the committed results
	$(PYTHON) benchmarks/readme.py

prior: $(STAMP) ## fit the shipped prior anew on the files of ROLLOUTS and the shipped rollouts
	@test -d $(ROLLOUTS) || { echo "no folder $(ROLLOUTS): name one by make prior ROLLOUTS=FOLDER" >&2; exit 1; }
	$(BIN)/memreward prior fit $(ROLLOUTS)/*.jsonl.gz $(filter-out $(MEASURED),$(SHIPPED)) \
	  --out src/memreward/answers/default.safetensors

training: $(STAMP) ## train every arm from one starting policy and write the tables of benchmarks/results/training (hours; resumes)
	$(EXPERIMENT) --seeds 10 --labels 20% --arms $(ARMS) --page --markdown $(TRAINING)/random.md
	$(EXPERIMENT) --seeds 6 --labels 20% --arms $(ARMS),trapo,restrain,care --markdown $(TRAINING)/literature.md
	$(EXPERIMENT) --seeds 6 --labels 20% --markdown $(TRAINING)/rewards.md \
	  --arms $(ARMS),no-prior,memreward-probability,memreward-threshold,majority,random,format
	$(EXPERIMENT) --seeds 6 --labels 10% --arms $(ARMS) --markdown $(TRAINING)/ten.md
	$(EXPERIMENT) --seeds 6 --labels 10% --arms $(ARMS) --choose advantage --markdown $(TRAINING)/chosen_ten.md
	$(EXPERIMENT) --seeds 6 --labels 20% --arms $(ARMS) --choose advantage --markdown $(TRAINING)/chosen_twenty.md
	$(EXPERIMENT) --seeds 5 --labels 5 --arms memreward,majority+labels --markdown $(TRAINING)/five.md
	$(EXPERIMENT) --seeds 6 --labels 5 --arms memreward,majority+labels --choose advantage --markdown $(TRAINING)/chosen_five.md

label-simulation: $(STAMP) ## simulate people who label, and write benchmarks/results/labelling.md
	@test -d $(ROLLOUTS) || { echo "no folder $(ROLLOUTS): name one by make label-simulation ROLLOUTS=FOLDER" >&2; exit 1; }
	nice -n 15 $(BIN)/python benchmarks/label_simulation.py $(LABELLED:%=$(ROLLOUTS)/%.jsonl.gz) \
	  --markdown benchmarks/results/labelling.md

fuzz: build/fuzz/installed ## look for bytes on which parsers, file readers or the judge's protocol fail (atheris, in an environment of its own)
	mkdir -p runs/fuzz/$(TARGET)
	build/fuzz/bin/python tests/fuzz/run.py $(TARGET) -max_len=400 runs/fuzz/$(TARGET)

verifiers: $(STAMP) ## judge the rollouts of ROLLOUTS anew and write benchmarks/results/verifiers.md
	@test -d $(ROLLOUTS) || { echo "no folder $(ROLLOUTS): name one by make verifiers ROLLOUTS=FOLDER" >&2; exit 1; }
	$(BIN)/python benchmarks/verifiers.py $(ROLLOUTS)

real-llm: $(STAMP) ## train a real language model (MODEL=FOLDER) with three kinds of reward (hours on a CPU; resumes)
	@test -n "$(MODEL)" || { echo "name the checkpoint folder of Qwen2.5-Coder-0.5B-Instruct: make real-llm MODEL=FOLDER" >&2; exit 1; }
	$(BIN)/python -m lab.real_llm $(MODEL) --results benchmarks/results/real-llm

collect-example: $(STAMP) ## sample the shipped rollouts again (hours on a CPU; resumes)
	@test -n "$(MODEL)" || { echo "name the checkpoint folder of Qwen2.5-Coder-0.5B-Instruct: make collect-example MODEL=FOLDER" >&2; exit 1; }
	@mkdir -p runs
	$(BIN)/python -m lab.families gsm_symbolic:120,family_relationships:42,syllogism:42,products:28,gcd:24,lcm:24,simple_equations:24,chain_sum:24,simple_geometry:20,fraction_simplification:20,letter_counting:20,basic_arithmetic:20 runs/example.jsonl
	$(BIN)/memreward collect --model $(MODEL) --questions runs/example.jsonl --templates lab/templates --max-new-tokens 112 --out $(EXAMPLE)

collect-sources: $(STAMP) ## sample the sources of a reward prior that examples/sources lacks (hours on a CPU; resumes)
	@test -n "$(MODEL)" || { echo "name the checkpoint folder of an instruct model: make collect-sources MODEL=FOLDER" >&2; exit 1; }
	nice -n 19 $(BIN)/python benchmarks/collect_sources.py $(MODEL) $(QUESTIONS) $(SOURCES)

clean: ## remove the environment and every cache
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache .hypothesis build dist

$(STAMP): pyproject.toml
	@$(RECENT)
	@echo "Making $(VENV) (the first time only: about 2 GB and some minutes; pip's log: $(VENV)/install.log)"
	@$(PYTHON) -m venv $(VENV)
	@sh .ci/install $(VENV)
	@touch $@

build/tools/installed:
	@$(PYTHON) -m venv build/tools
	@build/tools/bin/pip install --quiet --no-input twine check-wheel-contents uv
	@touch $@

build/docs/installed: pyproject.toml
	@$(PYTHON) -m venv build/docs
	@build/docs/bin/pip install --quiet --no-input '.[docs]'
	@touch $@

build/notebook/installed: pyproject.toml
	@$(PYTHON) -m venv build/notebook
	@build/notebook/bin/pip install --quiet --no-input nbclient ipykernel .
	@touch $@

build/demo/installed: pyproject.toml
	@$(RECENT)
	@echo "Making build/demo (the first time only: about 220 MB)"
	@$(PYTHON) -m venv build/demo
	@build/demo/bin/pip install --quiet --no-input --editable .
	@touch $@

build/label/installed: pyproject.toml
	@$(RECENT)
	@echo "Making build/label (the first time only: about 230 MB)"
	@$(PYTHON) -m venv build/label
	@build/label/bin/pip install --quiet --no-input --editable '.[label]'
	@touch $@

build/trainers/%/installed: pyproject.toml .ci/trainer
	@rm -rf build/trainers/$*
	@$(PYTHON) -m venv build/trainers/$*
	@sh .ci/trainer $* build/trainers/$*
	@touch $@

build/fuzz/installed: $(STAMP)
	@rm -rf build/fuzz
	@$(BIN)/python -m venv build/fuzz
	@build/fuzz/bin/pip install --quiet atheris
	@$(BIN)/python -c 'import site; print(site.getsitepackages()[0])' > $$(build/fuzz/bin/python -c 'import site; print(site.getsitepackages()[0])')/project.pth
	@touch $@

$(LOWEST)/installed: pyproject.toml
	@rm -rf $(LOWEST)
	@$(PYTHON) -m venv $(LOWEST)
	@sh .ci/lowest $(LOWEST)
	@touch $@
