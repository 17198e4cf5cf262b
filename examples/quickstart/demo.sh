#!/bin/sh
# The quickstart, told: a first load, a plan, a second load of changed files, and the tables.
# Called by `make demo` with the path of syncengine; only ever touches the quickstart's own embedded server.
set -eu

program=$1
case $program in */*) program=$(cd "$(dirname "$program")" && pwd)/$(basename "$program") ;; esac
cd "$(dirname "$0")/../.."
unset SYNCENGINE_URL DATABASE_URL

syncengine() { "$program" "$@"; }
psql() { (cd examples/quickstart && syncengine db psql --no-psqlrc --quiet --pset pager=off --pset footer=off "$@"); }
heading() { printf '\n\033[1m== %s\033[0m\n' "$1"; }
[ -t 1 ] || heading() { printf '\n== %s\n' "$1"; }
step() { printf '$ %s\n' "$*"; }

heading "Starting with an empty database"
psql --command 'SET client_min_messages = warning' --command 'DROP TABLE IF EXISTS customers, orders'
printf 'two specs: examples/quickstart/customers.yaml (CSV) and orders.yaml (JSON lines)\n'

heading "Monday's files: the tables are created, everything is new"
step syncengine run examples/quickstart
DAY=monday syncengine run --log-level warning examples/quickstart

heading "Tuesday's files, some rows changed: what would a run do?"
step DAY=tuesday syncengine plan examples/quickstart/customers.yaml
DAY=tuesday syncengine plan --log-level warning examples/quickstart/customers.yaml

heading "Only what changed is written; a row older than the stored one is skipped by the guard"
step DAY=tuesday syncengine run examples/quickstart
DAY=tuesday syncengine run --log-level warning examples/quickstart

heading "The same files again: nothing is written"
step DAY=tuesday syncengine run examples/quickstart
DAY=tuesday syncengine run --log-level warning examples/quickstart

heading "The tables now"
psql --command 'SELECT email, name, city, updated_at FROM customers ORDER BY email' \
     --command 'SELECT order_no, status, total, updated_at FROM orders ORDER BY order_no'

printf 'The server has stopped; its data stays.  To look around:\n'
printf '  . .venv/bin/activate && cd examples/quickstart && syncengine db psql\n'
