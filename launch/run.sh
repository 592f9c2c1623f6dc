#!/usr/bin/env bash
# Starts elbo with mpirun: on this machine, on a list of hosts, or in a Slurm allocation.
# It does not use launch/common.sh: an installation has no checkout, and paths are relative to the user's folder.
set -euo pipefail

usage="usage: launch/run.sh [OPTION…] COMMAND…      for example: launch/run.sh --hosts=node1,node2 train configs/mnist_vae.ini

  --hosts=a,b,c:2           list of hosts; NAME:N sets the number of ranks on a host
  --hostfile=FILE           hosts from a file, one per line: NAME, NAME:2 or NAME slots=2; # starts a comment
  --ranks_per_node=auto     ranks on each host without a number: a number, numa (one per NUMA domain), gpu (one per GPU),
                            auto (the tasks of a Slurm allocation, else gpu if there are GPUs, else numa). Domains and
                            GPUs are counted on this host and assumed to be the same on all
  --bind=auto               numa (bind each rank to its NUMA domain; ranks of a domain get separate cores), core (bind
                            each rank to separate cores), none, auto (numa if several domains have the same number of
                            ranks, next to their GPUs; else none)
  --env=NAME[=VALUE]        export a variable to the ranks; may be repeated. LD_LIBRARY_PATH, OMP_*, NCCL_*, ELBO_*,
                            UCX_*, FI_* and OMPI_MCA_* are always exported
  --mpirun=PATH             mpirun of the MPI that elbo was built with; default: the one in PATH
  --no_check                do not check first that each host answers and has elbo
  --dry_run                 print the command and exit

Without hosts and without Slurm, all ranks run on this machine. elbo is \$ELBO, else that of the checkout or installation
that contains this script, else the one in PATH. It must have the same path on every host. Hosts are reached with ssh without
a password, or with OMPI_MCA_plm_rsh_agent. Ctrl-C, SIGTERM, SIGHUP, SIGUSR1, SIGUSR2 and SIGXCPU end training after its step,
with a checkpoint and exit status 75; a second signal ends it at once. The exit status is that of elbo: 0, 2 (usage error),
69 (a rank hangs), 75, else 1."

exec 3>&2 # for messages while stderr is redirected
say() { printf 'launch/run.sh: %s\n' "$1" >&3; }
fail() {
  printf 'error: %s\n' "$2" >&2
  exit "$1"
}

# ---- Options ------------------------------------------------------------------------------------------------------
hosts=
hostfile=
ranks_per_node=auto
bind=auto
variables=()
mpirun=mpirun
check=yes
dry_run=
while [ $# -gt 0 ]; do
  case $1 in
    --hosts=?*) hosts=${1#*=} ;;
    --hostfile=?*) hostfile=${1#*=} ;;
    --ranks_per_node=*) ranks_per_node=${1#*=} ;;
    --bind=*) bind=${1#*=} ;;
    --env=?*) variables+=("${1#*=}") ;;
    --mpirun=?*) mpirun=${1#*=} ;;
    --no_check) check= ;;
    --dry_run) dry_run=yes ;;
    --help) printf '%s\n' "$usage"; exit ;;
    --hosts | --hostfile | --ranks_per_node | --bind | --env | --mpirun) fail 2 "$1: needs a value: $1=VALUE" ;;
    -*) fail 2 "unknown option '$1' before the command; launch/run.sh --help lists them" ;;
    *) break ;;
  esac
  shift
done
for word in "$@"; do
  case ${word%%=*} in
    --hosts | --hostfile | --ranks_per_node | --bind | --env | --mpirun | --no_check | --dry_run)
      fail 2 "${word%%=*}: must come before the command: launch/run.sh $word $1 …" ;;
  esac
done
[ $# -gt 0 ] || fail 2 "no command; expected one such as: train configs/mnist_vae.ini (see launch/run.sh --help)"
if [ -n "$hosts" ] && [ -n "$hostfile" ]; then fail 2 "--hosts and --hostfile exclude each other; give one of them"; fi
[[ $ranks_per_node =~ ^(auto|numa|gpu|[1-9][0-9]*)$ ]] ||
  fail 2 "--ranks_per_node=$ranks_per_node: expected a number from 1, auto, numa or gpu"
[[ $bind =~ ^(auto|none|core|numa)$ ]] || fail 2 "--bind=$bind: expected auto, none, core or numa"
for variable in ${variables[@]+"${variables[@]}"}; do
  [[ ${variable%%=*} =~ ^[A-Za-z_][A-Za-z0-9_]*$ ]] || fail 2 "--env=$variable: expected NAME or NAME=VALUE"
  [[ $variable == *=* ]] || [ -n "${!variable+set}" ] || fail 2 "--env=$variable: is not set here; give --env=$variable=VALUE"
done

# ---- The programs -------------------------------------------------------------------------------------------------
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
elbo=
for candidate in "${ELBO:-}" "$here/../build/elbo" "$here/../bin/elbo" "$here/../../../bin/elbo" "$(type -P elbo || true)"; do
  if [ -x "$candidate" ] && [ ! -d "$candidate" ]; then
    elbo=$(cd -- "$(dirname -- "$candidate")" && pwd)/$(basename -- "$candidate")
    break
  fi
  if [ -n "${ELBO:-}" ]; then fail 2 "ELBO=$ELBO: is not a program; build it (launch/setup.sh --build), or unset ELBO"; fi
done
[ -n "$elbo" ] || fail 2 "elbo is not in $here/../build, $here/../bin or PATH; build it (launch/setup.sh --build), or set ELBO=PATH"

# With its absolute path, mpirun finds its daemons on hosts whose PATH lacks them.
mpirun_path=$(type -P -- "$mpirun") ||
  fail 2 "$mpirun: there is no such program; load the module of the MPI that elbo was built with, or give --mpirun=PATH"
case $("$mpirun_path" --version 2>&1 || true) in
  *"Open MPI"* | *OpenRTE* | *PRRTE*) mpi="Open MPI" ;;
  *HYDRA* | *Intel*) mpi=hydra ;;
  *) fail 2 "$mpirun_path: is neither Open MPI's nor hydra (MPICH, Intel MPI), the supported ones; start elbo with it directly" ;;
esac
# With the mpirun of another MPI, each rank would be a world of size 1.
library=$(ldd "$elbo" 2>/dev/null | grep -o '\blibmpi[a-z_]*\.so\.[0-9]*' | head -n 1 || true)
case $library in
  libmpi.so.[2-9]?) linked="Open MPI" ;;
  libmpi*) linked=hydra ;;
  *) linked=$mpi ;; # unknown
esac
[ "$linked" = "$mpi" ] ||
  fail 2 "$mpirun_path belongs to ${mpi/hydra/MPICH or Intel MPI}, but $elbo is linked to $library; give --mpirun=PATH of that MPI"

# mpirun refuses to start for root, the usual user in a container.
if [ "$(id -u)" = 0 ]; then export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1; fi

# ---- Cores and GPUs of this host ----------------------------------------------------------------------------------
threads=$(lscpu --parse=node,socket,core 2>/dev/null | grep -v '^#') || true
topology=$(sort -u <<<"$threads")
domains=$(cut -d, -f1 <<<"$topology" | sort -u | wc -l)
cores=$(wc -l <<<"$topology")
# A container or a Slurm step often has a part of the host's cores; then NUMA domains are not used.
usable=$(env -u OMP_NUM_THREADS -u OMP_THREAD_LIMIT nproc)
if [ "$usable" -lt "$(wc -l <<<"$threads")" ]; then domains=1 cores=$usable; fi
gpus=$({ nvidia-smi -L 2>/dev/null || true; } | grep -c '^GPU ' || true)

slurm=
if [ -z "$hosts$hostfile" ] && [ -n "${SLURM_JOB_ID:-}" ] && [ -n "${SLURM_JOB_NODELIST:-}" ]; then slurm=yes; fi

why=
case $ranks_per_node in
  auto)
    if [ -n "$slurm" ] && [ -n "${SLURM_NTASKS:-}" ]; then
      per_node='' why="the allocation's $SLURM_NTASKS tasks"
    elif [ "$gpus" -gt 0 ]; then
      ranks_per_node=gpu
    else
      ranks_per_node=numa
    fi
    ;;
  *[0-9]) per_node=$ranks_per_node why="as requested" ;;
esac
case $ranks_per_node in
  gpu)
    [ "$gpus" -gt 0 ] || fail 2 "--ranks_per_node=gpu: nvidia-smi -L shows no GPU on this host; give a number if other hosts have GPUs"
    per_node=$gpus why="one per GPU of this host"
    ;;
  numa) per_node=$domains why="one per NUMA domain of this host" ;;
esac

# ---- The hosts ----------------------------------------------------------------------------------------------------
names=()
counts=()
# add_host NAME[:COUNT]
add_host() {
  local name=$1 count=$per_node
  if [[ $name =~ ^(.*):([0-9]+)$ ]]; then name=${BASH_REMATCH[1]} count=$((10#${BASH_REMATCH[2]})); fi
  if ! [[ $name =~ ^[A-Za-z0-9._-]+$ && $count -gt 0 ]]; then
    fail 2 "${hostfile:---hosts=$hosts}: '$1' is not a host; expected NAME or NAME:RANKS with RANKS from 1"
  fi
  if [[ " ${names[*]-} " == *" $name "* ]]; then
    fail 2 "${hostfile:---hosts=$hosts}: $name is listed twice; write $name:2 for two ranks on it"
  fi
  names+=("$name")
  counts+=("$count")
}
if [ -n "$hostfile" ]; then
  [ -r "$hostfile" ] || fail 2 "--hostfile=$hostfile: cannot be read; expected a file with one host per line"
  while read -r name more; do
    if [[ $more =~ ^(slots|max_slots)=([0-9]+) ]]; then name=$name:${BASH_REMATCH[2]} more=; fi
    [ -z "$more" ] || fail 2 "--hostfile=$hostfile: '$name $more' is not a host; expected NAME, NAME:2 or NAME slots=2"
    add_host "$name"
  done < <(sed 's/#.*//; s/[[:space:]]*$//; /^$/d' <"$hostfile")
  [ ${#names[@]} -gt 0 ] || fail 2 "--hostfile=$hostfile: has no host; expected one per line"
elif [ -n "$hosts" ]; then
  IFS=, read -r -a listed <<<"$hosts"
  for name in "${listed[@]}"; do add_host "$name"; done
elif [ -z "$slurm" ]; then
  add_host localhost
fi

# The number of ranks per host, or nothing if hosts differ.
alike=${counts[0]:-$per_node}
total=0
for count in ${counts[@]+"${counts[@]}"}; do
  total=$((total + count))
  if [ "$count" != "${counts[0]}" ]; then alike=; fi
done
if [ "$alike" != "$per_node" ]; then why="as requested"; fi

# ---- Binding ------------------------------------------------------------------------------------------------------
# Whether GPUs, in their order, are attached to the NUMA domains that their ranks will be bound to.
gpus_in_order() {
  local number=0 address domain
  while read -r address; do
    domain=$(cat "/sys/bus/pci/devices/$(tr '[:upper:]' '[:lower:]' <<<"${address#0000}")/numa_node" 2>/dev/null) || return 1
    [ "$domain" = $((number * domains / gpus)) ] || return 1
    number=$((number + 1))
  done < <(nvidia-smi --query-gpu=pci.bus_id --format=csv,noheader)
}
if [ "$bind" = auto ]; then
  bind=none
  if [ -n "$alike" ] && [ "$domains" -gt 1 ] && [ $((alike % domains)) = 0 ] && [ "$cores" -ge "$alike" ]; then
    if [ "$ranks_per_node" != gpu ] || gpus_in_order; then bind=numa; fi
  fi
fi
if [ "$bind" != none ]; then
  [ -n "$alike" ] || fail 2 "--bind=$bind: needs the same number of ranks on every host; give --ranks_per_node=N, or --bind=none"
  [ "$alike" -le "$cores" ] || fail 2 "--bind=$bind: $alike ranks exceed the $cores cores of a host; give fewer ranks, or --bind=none"
fi
if [ "$bind" = numa ] && [ $((alike % domains)) != 0 ]; then
  fail 2 "--bind=numa: $alike ranks cannot be distributed evenly to $domains NUMA domains; give a multiple of $domains, or --bind=core"
fi

# ---- The command --------------------------------------------------------------------------------------------------
# Whether the user or the site has configured the networks of Open MPI.
network_is_chosen() {
  "$(dirname "$mpirun_path")/ompi_info" --param btl tcp --level 9 --parsable 2>/dev/null |
    grep -E ':btl_tcp_if_(include|exclude):source:' | grep -qv ':default$'
}

if [ -n "$slurm" ] && [ -n "$per_node" ]; then total=$((per_node * SLURM_JOB_NUM_NODES)); fi
command=("$mpirun_path")
case $mpi in
  "Open MPI")
    if [ ${#names[@]} -gt 0 ]; then
      slots=$(for i in "${!names[@]}"; do printf ',%s:%s' "${names[i]}" "${counts[i]}"; done)
      command+=(--host "${slots#,}")
    fi
    # A container bridge has the same address on every host and connects none. Ranks would try to use it forever.
    bridges=$(sed -nE 's/^ *((docker|podman|cni|virbr|lxcbr|lxdbr)[0-9]+):.*/,\1/p' /proc/net/dev | tr -d '\n')
    if [ -n "$bridges" ] && [[ -n $slurm || ${#names[@]} -gt 1 ]] && ! network_is_chosen; then
      command+=(--mca btl_tcp_if_exclude "lo$bridges")
    fi
    # Otherwise the number of Slurm's tasks.
    if [ "$total" -gt 0 ]; then command+=(-n "$total"); fi
    # Each rank gets a share of the cores for its worker threads.
    share=${alike:+$((cores / alike))}
    case $bind in
      numa)
        if [ "$alike" = "$domains" ]; then
          command+=(--map-by ppr:1:numa --bind-to numa)
        else
          command+=(--map-by "ppr:$((alike / domains)):numa:PE=$share" --bind-to core)
        fi
        ;;
      core) command+=(--map-by "ppr:$alike:node:PE=$share" --bind-to core) ;;
      none)
        # In an allocation, ranks for GPUs may outnumber Slurm's tasks.
        if [ -n "$alike" ]; then command+=(--map-by "ppr:$alike:node${slurm:+:OVERSUBSCRIBE}"); fi
        command+=(--bind-to none)
        ;;
    esac
    ;;
  hydra)
    if [ ${#names[@]} -gt 0 ]; then
      slots=$(for i in "${!names[@]}"; do printf ',%s:%s' "${names[i]}" "${counts[i]}"; done)
      command+=(-hosts "${slots#,}")
    fi
    if [ -n "$alike" ]; then command+=(-ppn "$alike"); fi
    if [ "$total" -gt 0 ]; then command+=(-n "$total"); fi
    case $bind in
      numa) command+=(-bind-to numa -map-by numa) ;;
      core) command+=(-bind-to "core:$((cores / alike))") ;;
      none) command+=(-bind-to none) ;;
    esac
    ;;
esac
# Open MPI exports OMPI_MCA_*, hydra all variables. Variables with a value from --env need an option in both.
while IFS= read -r name; do
  case $name in
    LD_LIBRARY_PATH | OMP_* | NCCL_* | ELBO_* | UCX_* | FI_*) variables=("$name" ${variables[@]+"${variables[@]}"}) ;;
  esac
done < <(compgen -e)
for variable in ${variables[@]+"${variables[@]}"}; do
  if [ "$mpi" = "Open MPI" ]; then
    command+=(-x "$variable")
  elif [[ $variable == *=* ]]; then
    command+=(-genv "${variable%%=*}" "${variable#*=}")
  fi
done
command+=("$elbo" "$@")

# ---- Checks -------------------------------------------------------------------------------------------------------
described=${per_node:+$total ranks, }${alike:+$alike a host, }$why
say "$([ -z "$slurm" ] && printf '%s' "${#names[@]}" || printf 'Slurm with %s' "${SLURM_JOB_NUM_NODES:-some}") host(s), ${described%, } (here: $cores cores in $domains NUMA domain(s), $gpus GPU(s)); bound to: $bind"
if [ -n "$dry_run" ]; then
  printf '%q ' "${command[@]}"
  echo
  exit
fi

deadline=10 # seconds for all hosts together
temporary=$(mktemp -d)
trap 'rm -rf -- "$temporary"' EXIT

# Runs on a host; prints a word for what is missing, or a checksum of elbo. $1 elbo, $2 folder, $3 folder of MPI's daemon.
# shellcheck disable=SC2016
question='cd "$2" 2>/dev/null || { echo folder; exit; }
  test -x "$1" || { echo program; exit; }
  test -x "$3/orted" || test -x "$3/prted" || test -x "$3/hydra_pmi_proxy" || { echo mpi; exit; }
  cksum <"$1"'
ask() {
  local agent=${OMPI_MCA_plm_rsh_agent:-ssh -o BatchMode=yes -o ConnectTimeout=$deadline}
  if [ "$mpi" = hydra ]; then agent=${HYDRA_LAUNCHER_EXEC:-ssh -o BatchMode=yes -o ConnectTimeout=$deadline}; fi
  # shellcheck disable=SC2086 # an agent may have options
  timeout "$deadline" $agent "$1" "sh -c '$question' sh $(printf '%q ' "$elbo" "$PWD" "$(dirname "$mpirun_path")")" </dev/null
}
is_here() { [[ $1 == localhost || $1 == "$(hostname)" || $1 == "$(hostname -s 2>/dev/null || hostname)" ]]; }

if [ -n "$check" ] && [ -z "${SLURM_JOB_ID:-}" ]; then
  asked=()
  for name in "${names[@]}"; do
    if is_here "$name"; then continue; fi
    ask "$name" >"$temporary/$name.answer" 2>"$temporary/$name.error" &
    asked+=("$name:$!")
  done
  mine=
  if [ ${#asked[@]} -gt 0 ]; then mine=$(cksum <"$elbo"); fi
  for name in ${asked[@]+"${asked[@]}"}; do
    status=0
    wait "${name##*:}" || status=$?
    name=${name%:*}
    reason=$(tail -n 1 "$temporary/$name.error" | tr -d '\r')
    # A login shell may print a greeting first.
    answer=$(tail -n 1 "$temporary/$name.answer")
    case $status:$answer in
      0:folder) fail 2 "host $name: has no folder $PWD; start in a folder that all hosts share" ;;
      0:program) fail 2 "host $name: has no program $elbo; install elbo there at the same path, or on a file system that all hosts share" ;;
      0:mpi) fail 2 "host $name: has no MPI in $(dirname "$mpirun_path"); install the same MPI there, or give --mpirun=PATH" ;;
      0:"$mine") ;;
      0:*) fail 2 "host $name: has another $elbo than this host; install the same build on all hosts" ;;
      124:*) fail 2 "host $name: does not answer within $deadline s; check that it is up and that 'ssh $name' works without a password" ;;
      *) fail 2 "host $name: cannot be reached (${reason:-status $status}); check that 'ssh $name' works without a password" ;;
    esac
  done
fi

# ---- The run ------------------------------------------------------------------------------------------------------
# Each in a separate process group: Ctrl-C reaches only this script, which forwards a signal that saves the run.
set -m
mkfifo "$temporary/stderr" "$temporary/watched"
"${command[@]}" </dev/null 2>"$temporary/stderr" 3>&- &
job=$!
tee "$temporary/watched" <"$temporary/stderr" >&2 &
output=$!
disown "$output"
# elbo's error message ends the job. An mpirun that cannot reach a host would then wait for a quarter of an hour. When it is
# killed, its daemons on the other hosts end the remaining ranks.
patience=15 # seconds
give_up() {
  sleep $patience
  local agents
  agents=$(cat "/proc/$job/task/"*/children) # in separate process groups
  : >"$temporary/given_up"
  # shellcheck disable=SC2086 # several
  kill -KILL -- "-$job" $agents
}
{
  if grep -q '^error: '; then give_up & fi
  cat >/dev/null
  wait
} <"$temporary/watched" 2>/dev/null &
watch=$!
disown "$watch"
set +m

training=
if [ "$1" = train ]; then training=yes; fi
requests=0
# On SIGUSR1 elbo saves a checkpoint. mpirun forwards SIGINT and SIGTERM but waits only a moment. Commands other than
# training have nothing to save.
# shellcheck disable=SC2317 # by the trap
stop() {
  requests=$((requests + 1))
  if [ "$requests" = 1 ] && [ "$training" = yes ]; then
    say "training ends after its step, with a checkpoint; a second signal ends it at once"
    kill -USR1 "$job"
  elif [ "$requests" -le 2 ]; then
    kill -TERM "$job"
  else
    kill -KILL -- "-$job"
  fi 2>/dev/null || true
}
trap stop INT TERM HUP USR1 USR2 XCPU

# A signal ends the wait, too, and not the job.
while
  seen=$requests
  status=0
  { wait "$job" || status=$?; } 2>/dev/null # without bash's word on how it ended
  [ "$requests" != "$seen" ]
do :; done
kill -KILL -- "-$watch" 2>/dev/null || true
# Wait for the rest of the output, but not long: a daemon on an unreachable host may keep the pipe open.
for ((tenths = 0; tenths < 20; ++tenths)); do
  kill -0 "$output" 2>/dev/null || break
  sleep 0.1
done
kill -KILL -- "-$output" 2>/dev/null || true

if [ -e "$temporary/given_up" ]; then
  fail 1 "mpirun was killed $patience s after that error, because it cannot reach a host; ranks there end by themselves"
elif [ $requests -gt 1 ] && [ $status != 75 ] && [ $status != 0 ]; then
  fail 1 "the run was ended at once on request; --resume continues from its newest checkpoint"
fi
case $status in
  0 | 1 | 2 | 69 | 75) exit "$status" ;;
  138) # SIGUSR1, before elbo was ready for it
    if [ $requests -gt 0 ]; then fail 1 "the run was stopped before its first step; it has no checkpoint"; fi
    ;;
esac
if [ $requests -gt 0 ]; then fail 1 "the command was ended on request"; fi
if [ $status = 137 ]; then
  fail 1 "a rank or mpirun was killed (SIGKILL), perhaps because memory ran out or a host was lost; see the lines above"
fi
fail 1 "mpirun ended with status $status; see the lines above"
