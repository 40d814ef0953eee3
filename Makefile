# SPDX-License-Identifier: GPL-3.0-or-later
# Each target sets up what it needs by itself. Everything made is kept outside the tree; `make clean` removes it.
SCENARIO = default
BENCH = all
COMPAT =
VERSION =

.PHONY: help demo test lint unit molecule compat docs release bench soak clean

help: ## what there is to make
	@sed -n 's/^\([a-z]*\):.*## /make \1\t/p' Makefile | expand --tabs=20

demo: ## a homeserver, a bucket, the role, an upload, the nightly job: see it work (about 5 minutes the first time)
	@scripts/setup tools minio bookworm
	@scripts/demo

test: ## every check there is
	@scripts/setup
	@scripts/check all

lint: ## style, types, import layers, and what Galaxy asks
	@scripts/setup tools galaxy
	@scripts/check lint

unit: ## the tests that need no server
	@scripts/setup tools
	@scripts/check unit roles

molecule: ## one Molecule scenario on real hosts: make molecule SCENARIO=default (docker, podman, podman-root, mdad, stores)
	@scripts/setup
	@scripts/run molecule --base-config molecule/config.yml test --scenario-name $(SCENARIO)

compat: ## the program against each S3 server that can be had, and its table in docs/compatibility.md (Garage's build alone takes 15 minutes)
	@scripts/setup tools provider
	@scripts/run python -m ansible_collections.matrixops.synapse_s3.tests.compat $(COMPAT)

docs: ## the site, from docs/*.md and what the plugins and roles say of themselves, into the cache
	@scripts/setup tools docs
	@scripts/check docs

release: ## make release VERSION=0.1.0: the tarball, its changelog, bill of materials and checksums, in a folder; nothing is published
	@scripts/setup galaxy
	@scripts/release "$(VERSION)"

bench: ## speed beside the programs it replaces (about three hours); a short one: make bench BENCH="all --quick"
	@scripts/setup tools minio peers
	@scripts/run python -m ansible_collections.matrixops.synapse_s3.tests.benchmark $(BENCH)

soak: ## kill a hundred migrations while Synapse takes uploads, test properties at length, and what takes too long on hosts (about three hours)
	@scripts/setup
	@scripts/soak

clean: ## remove everything that these targets made on this machine, but for Debian packages
	@scripts/clean
