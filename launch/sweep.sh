#!/usr/bin/env bash
# Trains and evaluates a model at every combination of settings, and compares the runs.
# It does not use launch/common.sh: an installation has no checkout, and paths are relative to the user's folder.
set -euo pipefail

usage="usage: launch/sweep.sh CONFIG.ini|DATA.h5 [--section.key=VALUES …] [OPTION…]

for example: launch/sweep.sh configs/mnist_vae.ini --model.beta=1,4,16 --train.seed=1..3 --train.epochs=5

  --section.key=VALUES  values separated by commas; a..b are the integers from a to b; brackets make a list one value:
                        --network.hidden=[400,400],[200]. A key with one value applies to all runs
  --name=NAME           the runs are in runs/NAME/, each in a folder named by its settings; default: the name of CONFIG
  --at_once=K           number of runs at the same time: default 1, each with its share of the cores; with --slurm no limit
  --slurm               run as an array of Slurm jobs with launch/elbo.sbatch, which documents ELBO_LAUNCHER and others
  --sbatch='OPTIONS'    options of sbatch for each job: --sbatch='--nodes=2 --time=2:00:00'
  --dry_run             print the commands of unfinished runs and exit

When it is started again, it skips finished runs, continues unfinished ones, and adds new ones. At the end, and after
elbo report runs/NAME, runs/NAME has table.md, table.tsv and report.html: the runs sorted by their loss, and their curves.
elbo is \$ELBO, else that of the checkout or installation that contains this script, else the one in PATH."

fail() {
  printf 'error: %s\n' "$2" >&2
  exit "$1"
}

# ---- Options ------------------------------------------------------------------------------------------------------
inputs=()
settings=()
name=
at_once=
slurm=
sbatch_options=()
dry_run=
for word in "$@"; do
  case $word in
    --name=?*) name=${word#*=} ;;
    --at_once=*) at_once=${word#*=} ;;
    --slurm) slurm=yes ;;
    --sbatch=*) read -ra sbatch_options <<<"${word#*=}" || true ;;
    --dry_run) dry_run=yes ;;
    --help) printf '%s\n' "$usage"; exit ;;
    --run.directory=* | --resume | --run.resume=*) fail 2 "$word: is set by the sweep; use --name=NAME to choose the folder of the runs" ;;
    --?*.?*=*) settings+=("$word") ;;
    -*) fail 2 "unknown option '$word'; launch/sweep.sh --help lists them" ;;
    *) inputs+=("$word") ;;
  esac
done
[ ${#inputs[@]} = 1 ] || fail 2 "expected one CONFIG.ini or DATA.h5 and settings; launch/sweep.sh --help shows how"
input=${inputs[0]}
[ -r "$input" ] || fail 2 "$input: cannot be read; expected a CONFIG.ini or DATA.h5"
name=${name:-$(basename "${input%.*}")}
[[ $name =~ ^[A-Za-z0-9._-]+$ && ! $name =~ ^[.-] ]] || fail 2 "--name=$name: expected letters, digits, dots, dashes and underscores, a letter or a digit first"
[ ${#name} -le 200 ] || fail 2 "--name=${name:0:40}…: has ${#name} letters; expected at most 200"
[[ $at_once =~ ^([1-9][0-9]{0,4})?$ ]] || fail 2 "--at_once=$at_once: expected a number from 1 to 99999"
if [ ${#sbatch_options[@]} != 0 ] && [ -z "$slurm" ]; then fail 2 "--sbatch: needs --slurm; add it, or leave out --sbatch"; fi

most_runs=10000

# values_of KEY=VALUES: prints one value per line. A comma must follow each value, including the last.
values_of() {
  local key=${1%%=*} rest=${1#*=}, value
  while [ -n "$rest" ]; do
    if [[ $rest =~ ^\[([^][]*)\],(.*)$ ]]; then
      printf '%s\n' "${BASH_REMATCH[1]}"
      rest=${BASH_REMATCH[2]}
      continue
    fi
    value=${rest%%,*}
    rest=${rest#*,}
    if [[ $value =~ ^(-?[0-9]{1,18})\.\.(-?[0-9]{1,18})$ ]]; then
      [ "${BASH_REMATCH[1]}" -le "${BASH_REMATCH[2]}" ] || fail 2 "$key: the range $value is empty; expected the smaller number first"
      seq "${BASH_REMATCH[1]}" "${BASH_REMATCH[2]}" 2>/dev/null | head -n $((most_runs + 1)) || true
    elif [[ $value =~ ^[-+.0-9e]+\.\.[-+.0-9e]+$ ]]; then
      fail 2 "$key: $value is not a range of integers of at most 18 digits; expected one such as 1..3, or values separated by commas"
    elif [[ $value =~ ^[^][[:space:]]+$ ]]; then
      printf '%s\n' "$value"
    else
      fail 2 "$key: '$value' is not a value; expected values separated by commas, without blanks, and lists in brackets: [400,400],[200]"
    fi
  done
}

# The Cartesian product. Each point has its settings, and a label from the settings that differ.
points=("")
labels=("")
for setting in ${settings[@]+"${settings[@]}"}; do
  key=${setting%%=*}
  list=$(values_of "$setting")
  mapfile -t values <<<"$list"
  [ $((${#points[@]} * ${#values[@]})) -le $most_runs ] || fail 2 "$key: with its values, the sweep has more than $most_runs runs; expected fewer values"
  short=${key##*.}
  if [ "$(printf '%s\n' "${settings[@]%%=*}" | grep -c "\.$short\$")" != 1 ]; then short=${key#--}; fi
  next_points=()
  next_labels=()
  for i in "${!points[@]}"; do
    for value in "${values[@]}"; do
      next_points+=("${points[i]}${points[i]:+ }$key=$value")
      label=${labels[i]}
      if [ ${#values[@]} != 1 ]; then label+=${label:+_}$short=${value//[^A-Za-z0-9.+-]/-}; fi
      next_labels+=("$label")
    done
  done
  points=("${next_points[@]}")
  labels=("${next_labels[@]}")
done
for label in "${labels[@]}"; do
  [ ${#label} -le 200 ] || fail 2 "the folder of a run would have a name of ${#label} letters, ${label:0:40}…; expected values of at most 200 together"
done
same=$(printf '%s\n' "${labels[@]}" | sort | uniq -d | head -n 1)
[ ${#points[@]} = 1 ] || [ -z "$same" ] || fail 2 "two runs would be named $same; expected different values of a key"

# ---- The programs -------------------------------------------------------------------------------------------------
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
elbo=
for candidate in ${ELBO:+"$ELBO"} "$here/../build/elbo" "$here/../bin/elbo" "$here/../../../bin/elbo" elbo; do
  if elbo=$(type -P -- "$candidate"); then break; fi
  if [ "$candidate" = "${ELBO:-}" ]; then fail 2 "ELBO=$ELBO: is not a program; build it (launch/setup.sh --build), or unset ELBO"; fi
done
[ -n "$elbo" ] || fail 2 "elbo is not in $here/../build, $here/../bin or PATH; build it (launch/setup.sh --build), or set ELBO=PATH"
[ -z "$slurm" ] || type -P sbatch >/dev/null || fail 2 "--slurm: there is no sbatch in PATH; start the sweep on a login node of the cluster, or leave out --slurm"

# ---- Existing runs ------------------------------------------------------------------------------------------------
folder=runs/$name
list=$folder/points # one line per run: its settings and its folder
lines=()
declare -A line_of=() # index, by its last word
if [ -e "$list" ]; then mapfile -t lines <"$list"; fi
for i in "${!lines[@]}"; do line_of[${lines[i]##* }]=$i; done

# Finished: evaluated after the last training, with the present configuration and settings.
is_finished() {
  local run=$folder/$1
  [ "$run/evaluation.json" -nt "$input" ] && [ "$run/evaluation.json" -nt "$run/run.ini" ] &&
    [[ " ${changed[*]-} " != *" $run/evaluation.json "* ]]
}

# The indices of the lines of this sweep. Lines keep their index, as queued tasks of Slurm will read them later.
asked=()
changed=()
for i in "${!points[@]}"; do
  labels[i]=${labels[i]:-run}
  line="${points[i]}${points[i]:+ }--run.directory=$folder/${labels[i]}"
  at=${line_of[${line##* }]-${#lines[@]}}
  if [ "${lines[at]-$line}" != "$line" ]; then changed+=("$folder/${labels[i]}/evaluation.json"); fi
  lines[at]=$line
  asked+=("$at")
done

waiting=()
for i in "${!asked[@]}"; do
  if is_finished "${labels[i]}"; then printf '%s: is finished\n' "${labels[i]}"; else waiting+=("$i"); fi
done

# The Slurm jobs: an array of the unfinished runs, then the report. The report gets the same options, as a site may require
# some, such as an account.
if [ -n "$slurm" ]; then
  tasks=
  for i in ${waiting[@]+"${waiting[@]}"}; do tasks+=${tasks:+,}$((asked[i] + 1)); done
  array=(env "ELBO=$elbo" "ELBO_SWEEP=$PWD/$list" ELBO_EVALUATE=yes sbatch --parsable "--job-name=$name" "--output=$folder/slurm-%A_%a.out"
    ${sbatch_options[@]+"${sbatch_options[@]}"} "--array=$tasks${at_once:+%$at_once}" "$here/elbo.sbatch" train "$input")
  after=(sbatch --parsable ${sbatch_options[@]+"${sbatch_options[@]}"} --nodes=1 --ntasks=1 "--job-name=$name-report"
    "--output=$folder/report.out" "--wrap=$(printf '%q report %q' "$elbo" "$folder")")
fi

if [ -n "$dry_run" ]; then
  for i in ${waiting[@]+"${waiting[@]}"}; do
    printf '%s\n' "${slurm:+task $((asked[i] + 1)): }$elbo train $input ${lines[asked[i]]} --resume"
  done
  if [ -n "$slurm" ] && [ ${#waiting[@]} != 0 ]; then
    printf '%q ' "${array[@]}"
    printf '\n'
    printf '%q ' "${after[@]}" --dependency=afterany:JOB
    printf '\n'
  fi
  exit
fi

# Errors in settings are reported here, before any run starts. Each value is checked once, with some value of the other keys.
declare -A tried=()
for i in ${waiting[@]+"${waiting[@]}"}; do
  line=${lines[asked[i]]}
  new=
  for setting in ${points[i]}; do
    [ -n "${tried[$setting]:-}" ] || new=yes
    tried[$setting]=yes
  done
  if [ -z "$new" ] && [ ${#tried[@]} != 0 ]; then continue; fi
  read -ra words <<<"$line"
  said=$("$elbo" train "$input" "${words[@]}" --resume --check 2>&1 >/dev/null) && status=0 || status=$?
  if [ "$status" = 2 ]; then
    said=$(grep -m 1 '^error: ' <<<"$said" || tail -n 1 <<<"$said")
    fail 2 "${said#error: } (${labels[i]}; no run was started)"
  fi
done

mkdir -p "$folder"
printf '%s\n' "${lines[@]}" >"$list.new"
mv "$list.new" "$list"
rm -f -- ${changed[@]+"${changed[@]}"}

report() { "$elbo" report "$folder"; }

# ---- By Slurm -----------------------------------------------------------------------------------------------------
if [ -n "$slurm" ] && [ ${#waiting[@]} != 0 ]; then
  job=$("${array[@]}")
  job=${job%%;*}
  "${after[@]}" "--dependency=afterany:$job" >/dev/null
  printf '%s\n' "${#waiting[@]} runs are queued as the array $job; their logs are $folder/slurm-${job}_*.out" \
    "watch them:   squeue --job=$job" "cancel them:  scancel $job" \
    "table so far: $elbo report $folder     (also written at the end)"
  exit
fi

# ---- Here ---------------------------------------------------------------------------------------------------------
at_once=${at_once:-1}
threads=()
if [ "$at_once" != 1 ] && [[ ${settings[*]-} != *--train.threads=* ]]; then
  threads=("--train.threads=$(($(nproc) > at_once ? $(nproc) / at_once : 1))")
fi

# One run, in a separate process, which forwards the request to stop.
train_and_evaluate() {
  local label=${labels[$1]} log=$folder/${labels[$1]}.log line status=0
  child=
  stop=0
  trap 'stop=$((stop + 1)); [ -z "$child" ] || kill -TERM "$child" 2>/dev/null || true' TERM HUP USR1 USR2 XCPU
  trap '' INT # elbo gets INT from the terminal, or TERM from here
  read -ra line <<<"${lines[asked[$1]]}"
  until_end "$elbo" train "$input" "${line[@]}" ${threads[@]+"${threads[@]}"} --resume >"$log" 2>&1 || status=$?
  if [ $status = 0 ]; then
    until_end "$elbo" evaluate "$folder/$label" ${threads[@]+"${threads[@]/train./}"} >>"$log" 2>&1 || status=$?
  fi
  case $status in
    0) printf '%s: %s\n' "$label" "$(sed -n 's/^loss  */loss /p' "$log")" ;;
    75 | 129 | 138 | 140 | 143 | 152) printf '%s: stopped; it continues when the sweep is started again\n' "$label" ;;
    *) printf '%s: failed: %s (%s)\n' "$label" "$(grep -m 1 '^error: ' "$log" || tail -n 1 "$log")" "$log" ;;
  esac
  return $status
}

# until_end COMMAND…: waits for the end of the command. A signal interrupts `wait`, which is then called again.
until_end() {
  local status seen
  if [ "$stop" != 0 ]; then return 75; fi
  "$@" &
  child=$!
  while
    seen=$stop status=0
    wait "$child" || status=$?
    [ "$stop" != "$seen" ]
  do :; done
  child=
  return $status
}

children=()
stopping=
stop_all() {
  stopping=yes
  kill -TERM "${children[@]}" 2>/dev/null || true
}
trap stop_all INT TERM HUP USR1 USR2 XCPU
failed=0
running=0
# Waits until one run has ended or a signal came.
take_one() {
  local status=0
  wait -n || status=$?
  if [ -n "$stopping" ]; then return; fi
  running=$((running - 1))
  if [ $status != 0 ]; then failed=$((failed + 1)); fi
}
for i in ${waiting[@]+"${waiting[@]}"}; do
  [ "$running" -lt "$at_once" ] || take_one
  [ -z "$stopping" ] || break
  printf '%s: training; log in %s.log\n' "${labels[i]}" "$folder/${labels[i]}"
  train_and_evaluate "$i" &
  children+=($!)
  running=$((running + 1))
done
while [ "$running" -gt 0 ] && [ -z "$stopping" ]; do take_one; done
if [ -n "$stopping" ]; then
  for child in "${children[@]}"; do
    while kill -0 "$child" 2>/dev/null; do wait "$child" || true; done # another signal ends the wait, too
  done
  printf 'stopped on request; start the same command again to continue\n' >&2
  exit 75
fi
report
[ $failed = 0 ] || fail 1 "$failed of ${#asked[@]} runs failed, see the lines above; fix the cause and start the same command again"
