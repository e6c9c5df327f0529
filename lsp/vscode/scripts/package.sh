#!/usr/bin/env bash
# Checks the extension and packs it into codemlm-VERSION.vsix:  npm run package
# CODEMLM names the command for the tests with the real server, instead of the `codemlm` on PATH.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

npm ci --ignore-scripts --no-audit --no-fund
npm run --silent lint
npm test
cp ../../LICENSE LICENSE
# The bundle holds the dependencies; --no-dependencies leaves node_modules out.
npx vsce package --no-dependencies --allow-missing-repository
