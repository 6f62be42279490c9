# Every target makes what it needs: .venv is built at the first use and again when pyproject.toml changes.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/installed
EXAMPLE := examples/qwen2.5-coder-0.5b_reasoning-gym.jsonl.gz
DEMO := runs/demo
TESTBED := examples/testbed
ROLLOUTS ?= ../shared/data/rollouts
QUESTIONS ?= ../shared/data/questions
COLLECTED := $(basename $(basename $(notdir $(EXAMPLE))))
comma := ,
empty :=
joined = $(subst $(empty) ,$(comma),$(strip $(1)))
FILES = $(basename $(basename $(notdir $(wildcard $(ROLLOUTS)/*.jsonl.gz)))) $(COLLECTED)
# Two of the files mix several models, which style alone gives away.
MIXED := gsm8k_gpt3 commonsenseqa_re2
ONE_POLICY = $(filter-out $(MIXED),$(FILES))
PREDICTION := benchmarks/results/prediction
TRAINING := benchmarks/results/training
EXPERIMENT = $(BIN)/memreward experiment --start $(TESTBED) --seeds 5 --out runs/training --page
ARMS := oracle,labelled,memreward,no-trust,majority+labels,paper-ngrams
# Measured before the weight of like reasoning was set.
UNTRUSTING := --predictor-trust 0
BENCHMARKS := gsm8k gsm-symbolic math mmlu commonsenseqa openbookqa arc-challenge gpqa humaneval+ mbpp+ numinamath piqa siqa

export HF_HUB_OFFLINE := 1
export TOKENIZERS_PARALLELISM := false
export PIP_DISABLE_PIP_VERSION_CHECK := 1

demo prediction training real-llm: export MEMREWARD_CACHE := runs/cache

.DEFAULT_GOAL := help
.PHONY: help demo test layout lint format bench prediction training recorded-training real-llm verifiers reader hub collect-example collect-sources clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-18s %s\n", $$1, $$2 }' Makefile

demo: $(STAMP) ## warm up, score and evaluate on the shipped rollouts, then train three arms: tables and pictures
	@rm -rf $(DEMO)
	$(BIN)/memreward warmup $(EXAMPLE) --memory $(DEMO)/memory --labels 0.2 --seed 0
	$(BIN)/memreward score $(EXAMPLE) --memory $(DEMO)/memory --out $(DEMO)/scored.jsonl
	$(BIN)/memreward ledger --memory $(DEMO)/memory
	$(BIN)/memreward evaluate $(EXAMPLE) --labels 0.05,0.1,0.2,0.5 --seeds 1 --out $(DEMO)/evaluation --page
	$(BIN)/memreward experiment --start $(TESTBED) --arms oracle,labelled,memreward --choose spread --seeds 1 --steps 40 \
	  --out $(DEMO)/training --page

test: $(STAMP) layout ## run the tests (pytest), layout first
	$(BIN)/pytest --ignore=tests/test_layout.py

layout: $(STAMP) ## hold the layers, the lazy imports and the ban on pickle, eval and exec
	@$(BIN)/pytest tests/test_layout.py

lint: $(STAMP) ## ruff check, ruff format --check, mypy
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: $(STAMP) ## let ruff repair and format
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

hub: $(STAMP) ## load 20 questions of every benchmark from the real hub (network; 2 GB; GPQA needs a login)
	@for name in $(BENCHMARKS); do HF_HUB_OFFLINE=0 $(BIN)/memreward questions $$name:20 --out runs/hub/$$name.jsonl || \
	  failed="$$failed $$name"; done; test -z "$$failed" || { echo "not loaded:$$failed" >&2; exit 1; }

bench: $(STAMP) ## time scoring, warmup and encoding
	$(BIN)/python benchmarks/bench.py

prediction: $(STAMP) ## evaluate on every file of ROLLOUTS and write the tables of benchmarks/results/prediction
	@test -d $(ROLLOUTS) || { echo "no folder $(ROLLOUTS): name one by make prediction ROLLOUTS=FOLDER" >&2; exit 1; }
	$(BIN)/memreward evaluate $(ROLLOUTS)/*.jsonl.gz $(EXAMPLE) --labels 0.2 --seeds 5 --references majority,logistic \
	  --mean 'all files=$(call joined,$(FILES))' --mean 'one policy=$(call joined,$(ONE_POLICY))' \
	  --out runs/prediction/all --page --markdown $(PREDICTION)/all.md
	$(BIN)/memreward evaluate $(EXAMPLE) --labels 0.05,0.1,0.2,0.5 --seeds 5 \
	  --predictors memreward,no_memory,logistic,majority --references no_memory,majority \
	  --out runs/prediction/labels --page --markdown $(PREDICTION)/labels.md
	$(BIN)/memreward evaluate $(ROLLOUTS)/math500_qwen2.5-math-1.5b.jsonl.gz --labels 0.2 --seeds 5 --memory-rollouts 4 \
	  --predictors memreward,logistic,majority --out runs/prediction/memory --markdown $(PREDICTION)/memory.md
	$(BIN)/memreward evaluate $(ROLLOUTS)/humaneval_codegen-16b.jsonl.gz $(EXAMPLE) --labels 0.2 --seeds 3 \
	  --predictors memreward,ablations,paper --references memreward \
	  --out runs/prediction/ablations --markdown $(PREDICTION)/ablations.md

training: $(STAMP) ## train every arm from one starting policy and write the tables of benchmarks/results/training (hours; resumes)
	$(EXPERIMENT) --labels 0.2 --arms $(ARMS),paper,no-graph --choose spread --markdown $(TRAINING)/chosen.md
	$(EXPERIMENT) --labels 0.2 --arms $(ARMS),majority,random,format --markdown $(TRAINING)/arms.md
	$(EXPERIMENT) $(UNTRUSTING) --labels 0.2 --arms oracle,labelled,memreward,no-graph,no-growth,no-gate --choose spread \
	  --markdown $(TRAINING)/ablations.md
	$(EXPERIMENT) $(UNTRUSTING) --labels 0.2 --arms oracle,labelled,memreward,no-debiasing --markdown $(TRAINING)/debiasing.md
	$(EXPERIMENT) --labels 0.1,0.2 --arms oracle,labelled,memreward,no-trust,majority+labels --choose spread --markdown $(TRAINING)/fewer.md
	$(EXPERIMENT) $(UNTRUSTING) --labels 0.2,0.7 --arms oracle,labelled,memreward --markdown $(TRAINING)/more.md
	$(BIN)/memreward experiment --start runs/second --start-seed 1 --seeds 3 --measure-every 0 --out runs/training-second \
	  --page --labels 0.2 --choose spread --arms oracle,labelled,memreward --markdown $(TRAINING)/second.md
	$(BIN)/python benchmarks/kinds.py $(TESTBED) runs/training --markdown $(TRAINING)/kinds.md
	$(BIN)/python benchmarks/trust.py $(TESTBED) --markdown $(TRAINING)/trust.md

recorded-training: $(STAMP) ## unpack the trainings on record, which `make training` then takes over: its tables in minutes
	mkdir -p runs/training
	$(BIN)/python -m tarfile -e $(TRAINING)/outcomes.tar.xz runs/training

verifiers: $(STAMP) ## judge the rollouts of ROLLOUTS anew and write benchmarks/results/verifiers.md
	@test -d $(ROLLOUTS) || { echo "no folder $(ROLLOUTS): name one by make verifiers ROLLOUTS=FOLDER" >&2; exit 1; }
	$(BIN)/python benchmarks/verifiers.py $(ROLLOUTS)

reader: $(STAMP) ## report what a language model (READER=FOLDER) that reads the rollouts adds
	@test -n "$(READER)" || { echo "name the checkpoint folder of a causal language model: make reader READER=FOLDER" >&2; exit 1; }
	$(BIN)/python benchmarks/reader.py $(READER) $(ROLLOUTS)/math500_qwen2.5-math-1.5b.jsonl.gz --questions 60
	$(BIN)/python benchmarks/reader.py $(READER) $(EXAMPLE) --questions 0

real-llm: $(STAMP) ## train a real language model (MODEL=FOLDER) with three kinds of reward (hours on a CPU; resumes)
	@test -n "$(MODEL)" || { echo "name the checkpoint folder of Qwen2.5-Coder-0.5B-Instruct: make real-llm MODEL=FOLDER" >&2; exit 1; }
	$(BIN)/python benchmarks/real_llm.py $(MODEL) --results benchmarks/results/real-llm

collect-example: $(STAMP) ## sample the shipped rollouts again (hours on a CPU; resumes)
	@test -n "$(MODEL)" || { echo "name the checkpoint folder of Qwen2.5-Coder-0.5B-Instruct: make collect-example MODEL=FOLDER" >&2; exit 1; }
	$(BIN)/memreward collect --model $(MODEL) --model-name Qwen2.5-Coder-0.5B-Instruct --max-new-tokens 112 \
	  --questions gsm_symbolic:120,family_relationships:42,syllogism:42,products:28,gcd:24,lcm:24,simple_equations:24,chain_sum:24,simple_geometry:20,fraction_simplification:20,letter_counting:20,basic_arithmetic:20 \
	  --out $(EXAMPLE)

collect-sources: $(STAMP) ## sample the sources of a reward prior that examples/sources lacks (hours on a CPU; resumes)
	@test -n "$(MODEL)" || { echo "name the checkpoint folder of an instruct model: make collect-sources MODEL=FOLDER" >&2; exit 1; }
	nice -n 19 $(BIN)/python benchmarks/collect_sources.py $(MODEL) $(QUESTIONS) $(SOURCES)

clean: ## remove the environment and every cache
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache .hypothesis build dist

$(STAMP): pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "memreward needs Python 3.11 or newer, and $(PYTHON) is older or missing: name another by make PYTHON=python3.12" >&2; exit 1; }
	@echo "Making $(VENV) (the first time only: about 2 GB and some minutes; pip's log: $(VENV)/install.log)"
	@$(PYTHON) -m venv $(VENV)
	@sh .ci/install $(VENV)
	@touch $@
