#!/usr/bin/env bash
# Starts elbo by mpirun: on this machine, on hosts that are named, or in a Slurm allocation.
# It stands alone, unlike its neighbours: an installation has no checkout around it, and paths are the user's.
set -euo pipefail

usage="usage: launch/run.sh [OPTION…] COMMAND…      for example: launch/run.sh --hosts=node1,node2 train configs/mnist_vae.ini

  --hosts=a,b,c:2           hosts; a number behind a name: ranks on that host
  --hostfile=FILE           the same from a file: a line a host, NAME, NAME:2 or NAME slots=2; # begins a comment
  --ranks_per_node=auto     ranks on each host that has no number of its own: a number, numa (one for each NUMA domain),
                            gpu (one for each GPU), auto (in a Slurm allocation its tasks, else gpu where there are
                            GPUs, else numa); domains and GPUs are counted here, and taken to be the same everywhere
  --bind=auto               numa (a rank stays in its NUMA domain; ranks that share one have cores of their own in it),
                            core (a rank stays on cores of its own), none, auto (numa where several domains have equally
                            many ranks, and these are near their GPUs; else none)
  --env=NAME[=VALUE]        a variable that ranks get; so do they LD_LIBRARY_PATH and all of OMP_*, NCCL_*, ELBO_*,
                            UCX_*, FI_* and OMPI_MCA_* that are set here; any number of times
  --mpirun=PATH             of the MPI that elbo was built with; default: the one in PATH
  --no_check                starts without asking each host first whether it answers and has elbo
  --dry_run                 prints the command and ends

Without hosts and without Slurm, all ranks run here. elbo is \$ELBO, else that of the checkout or installation that this
script is in, else the one in PATH, and has the same path on every host. Hosts are reached by ssh without a password, or by what
OMPI_MCA_plm_rsh_agent names. Ctrl-C, SIGTERM, SIGHUP and SIGUSR1 end training after its step, with a checkpoint and
exit status 75; a second one ends it at once. The exit status is elbo's: 0, 2 for a mistake of yours, 75, else 1."

exec 3>&2 # to speak where stderr is turned off
say() { printf 'launch/run.sh: %s\n' "$1" >&3; }
fail() {
  printf 'error: %s\n' "$2" >&2
  exit "$1"
}

# ---- What is asked for --------------------------------------------------------------------------------------------
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
    --hosts | --hostfile | --ranks_per_node | --bind | --env | --mpirun) fail 2 "$1: needs a value behind a '=': $1=VALUE" ;;
    -*) fail 2 "unknown option '$1' before the command; launch/run.sh --help lists them" ;;
    *) break ;;
  esac
  shift
done
for word in "$@"; do
  case ${word%%=*} in
    --hosts | --hostfile | --ranks_per_node | --bind | --env | --mpirun | --no_check | --dry_run)
      fail 2 "${word%%=*}: stands before the command: launch/run.sh $word $1 …" ;;
  esac
done
[ $# -gt 0 ] || fail 2 "no command is named, for example: train configs/mnist_vae.ini; launch/run.sh --help says more"
if [ -n "$hosts" ] && [ -n "$hostfile" ]; then fail 2 "--hosts and --hostfile name hosts twice; give one of them"; fi
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
  if [ -n "${ELBO:-}" ]; then fail 2 "ELBO=$ELBO: is no program; build it (launch/setup.sh --build), or unset ELBO"; fi
done
[ -n "$elbo" ] || fail 2 "elbo is not in $here/../build, $here/../bin or PATH; build it (launch/setup.sh --build), or name it: ELBO=PATH"

# By its whole path: mpirun then also finds its own daemons on hosts where PATH lacks them.
mpirun_path=$(type -P -- "$mpirun") ||
  fail 2 "$mpirun: there is no such program; load the module of the MPI that elbo was built with, or give --mpirun=PATH"
case $("$mpirun_path" --version 2>&1 || true) in
  *"Open MPI"* | *OpenRTE* | *PRRTE*) mpi="Open MPI" ;;
  *HYDRA* | *Intel*) mpi=hydra ;;
  *) fail 2 "$mpirun_path: is neither Open MPI's nor a hydra (MPICH, Intel MPI), whose options are known here; start elbo with it by hand" ;;
esac
# Ranks started by another MPI's mpirun would each be a world of its own.
library=$(ldd "$elbo" 2>/dev/null | grep -o '\blibmpi[a-z_]*\.so\.[0-9]*' | head -n 1 || true)
case $library in
  libmpi.so.[2-9]?) linked="Open MPI" ;;
  libmpi*) linked=hydra ;;
  *) linked=$mpi ;; # it cannot be told
esac
[ "$linked" = "$mpi" ] ||
  fail 2 "$mpirun_path belongs to ${mpi/hydra/MPICH or Intel MPI}, but $elbo is linked to $library; give --mpirun=PATH of that MPI"

# mpirun refuses to start for root, which is who one is in a container.
if [ "$(id -u)" = 0 ]; then export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1; fi

# ---- What this host has -------------------------------------------------------------------------------------------
threads=$(lscpu --parse=node,socket,core 2>/dev/null | grep -v '^#') || true
topology=$(sort -u <<<"$threads")
domains=$(cut -d, -f1 <<<"$topology" | sort -u | wc -l)
cores=$(wc -l <<<"$topology")
# A container or a Slurm step often has a part of the host, whose domains then tell nothing.
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
  *[0-9]) per_node=$ranks_per_node why="as asked for" ;;
esac
case $ranks_per_node in
  gpu)
    [ "$gpus" -gt 0 ] || fail 2 "--ranks_per_node=gpu: nvidia-smi -L shows no GPU here; give a number if other hosts have some"
    per_node=$gpus why="one for each GPU found here"
    ;;
  numa) per_node=$domains why="one for each NUMA domain found here" ;;
esac

# ---- The hosts ----------------------------------------------------------------------------------------------------
names=()
counts=()
# add_host NAME[:COUNT]
add_host() {
  local name=$1 count=$per_node
  if [[ $name =~ ^(.*):([0-9]+)$ ]]; then name=${BASH_REMATCH[1]} count=$((10#${BASH_REMATCH[2]})); fi
  if ! [[ $name =~ ^[A-Za-z0-9._-]+$ && $count -gt 0 ]]; then
    fail 2 "${hostfile:---hosts=$hosts}: '$1' is no host; expected NAME or NAME:RANKS with RANKS from 1"
  fi
  if [[ " ${names[*]-} " == *" $name "* ]]; then
    fail 2 "${hostfile:---hosts=$hosts}: $name stands there twice; write $name:2 for two ranks on it"
  fi
  names+=("$name")
  counts+=("$count")
}
if [ -n "$hostfile" ]; then
  [ -r "$hostfile" ] || fail 2 "--hostfile=$hostfile: cannot be read; expected a file with a line for each host"
  while read -r name more; do
    if [[ $more =~ ^(slots|max_slots)=([0-9]+) ]]; then name=$name:${BASH_REMATCH[2]} more=; fi
    [ -z "$more" ] || fail 2 "--hostfile=$hostfile: '$name $more' is no host; expected NAME, NAME:2 or NAME slots=2"
    add_host "$name"
  done < <(sed 's/#.*//; s/[[:space:]]*$//; /^$/d' <"$hostfile")
  [ ${#names[@]} -gt 0 ] || fail 2 "--hostfile=$hostfile: names no host; expected a line for each"
elif [ -n "$hosts" ]; then
  IFS=, read -r -a listed <<<"$hosts"
  for name in "${listed[@]}"; do add_host "$name"; done
elif [ -z "$slurm" ]; then
  add_host localhost
fi

# What all hosts have, or nothing where they differ.
alike=${counts[0]:-$per_node}
total=0
for count in ${counts[@]+"${counts[@]}"}; do
  total=$((total + count))
  if [ "$count" != "${counts[0]}" ]; then alike=; fi
done
if [ "$alike" != "$per_node" ]; then why="as asked for"; fi

# ---- Binding ------------------------------------------------------------------------------------------------------
# Whether the GPUs, in their order, lie beside the domains that their ranks will be in.
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
  [ -n "$alike" ] || fail 2 "--bind=$bind: needs the same known number of ranks on every host; give --ranks_per_node=N, or --bind=none"
  [ "$alike" -le "$cores" ] || fail 2 "--bind=$bind: $alike ranks are more than the $cores cores of a host; give fewer, or --bind=none"
fi
if [ "$bind" = numa ] && [ $((alike % domains)) != 0 ]; then
  fail 2 "--bind=numa: $alike ranks do not share $domains NUMA domains evenly; give a multiple of $domains, or --bind=core"
fi

# ---- The command --------------------------------------------------------------------------------------------------
# Whether the user or the site has said which networks Open MPI may use.
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
    # A bridge for containers has the same address on every host and connects none, but ranks would try it for ever.
    bridges=$(sed -nE 's/^ *((docker|podman|cni|virbr|lxcbr|lxdbr)[0-9]+):.*/,\1/p' /proc/net/dev | tr -d '\n')
    if [ -n "$bridges" ] && [[ -n $slurm || ${#names[@]} -gt 1 ]] && ! network_is_chosen; then
      command+=(--mca btl_tcp_if_exclude "lo$bridges")
    fi
    # Otherwise as many as Slurm has tasks.
    if [ "$total" -gt 0 ]; then command+=(-n "$total"); fi
    # Ranks have worker threads, so each gets its share of the cores and not a single one.
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
        # In an allocation, ranks for GPUs may be more than Slurm's tasks.
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
# Open MPI carries OMPI_MCA_* along by itself, hydra all variables; what is set for ranks alone must be said to both.
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

# ---- Whether all is there -----------------------------------------------------------------------------------------
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

# Runs there; says in a word what is missing, or else a checksum of elbo. $1 elbo, $2 folder, $3 folder of the MPI's daemon.
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
    # A shell there may greet first.
    answer=$(tail -n 1 "$temporary/$name.answer")
    case $status:$answer in
      0:folder) fail 2 "host $name: has no folder $PWD; start in a folder that all hosts share" ;;
      0:program) fail 2 "host $name: has no program $elbo; install elbo there at the same path, or on a file system that all hosts share" ;;
      0:mpi) fail 2 "host $name: has no MPI in $(dirname "$mpirun_path"), where this host has it; install the same there, or give --mpirun=PATH" ;;
      0:"$mine") ;;
      0:*) fail 2 "host $name: has another $elbo than this host; bring the same build to all hosts" ;;
      124:*) fail 2 "host $name: does not answer within $deadline s; see that it runs and that 'ssh $name' gets there without a password" ;;
      *) fail 2 "host $name: cannot be reached (${reason:-status $status}); see that 'ssh $name' gets there without a password" ;;
    esac
  done
fi

# ---- The run ------------------------------------------------------------------------------------------------------
# Each in a process group of its own: Ctrl-C reaches this script alone, which passes on what saves the run.
set -m
mkfifo "$temporary/stderr" "$temporary/watched"
"${command[@]}" </dev/null 2>"$temporary/stderr" 3>&- &
job=$!
tee "$temporary/watched" <"$temporary/stderr" >&2 &
output=$!
disown "$output"
# elbo's one message ends the job. An mpirun that cannot reach one of its hosts then waits for a quarter of an hour:
# when it is gone, its daemons on the other hosts end what is left there.
patience=15 # seconds
give_up() {
  sleep $patience
  local agents
  agents=$(cat "/proc/$job/task/"*/children) # in process groups of their own
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
# elbo saves itself on SIGUSR1; mpirun would pass on SIGINT and SIGTERM, but wait only a moment. Commands that have
# nothing to save just end.
# shellcheck disable=SC2317 # by the trap
stop() {
  requests=$((requests + 1))
  if [ "$requests" = 1 ] && [ "$training" = yes ]; then
    say "training ends after its step, with a checkpoint; once more ends it at once"
    kill -USR1 "$job"
  elif [ "$requests" -le 2 ]; then
    kill -TERM "$job"
  else
    kill -KILL -- "-$job"
  fi 2>/dev/null || true
}
trap stop INT TERM HUP USR1

# A signal ends the wait, too, and not the job.
while
  seen=$requests
  status=0
  { wait "$job" || status=$?; } 2>/dev/null # without bash's word on how it ended
  [ "$requests" != "$seen" ]
do :; done
kill -KILL -- "-$watch" 2>/dev/null || true
# The rest of the output; a daemon that is out of reach may hold its end open for long.
for ((tenths = 0; tenths < 20; ++tenths)); do
  kill -0 "$output" 2>/dev/null || break
  sleep 0.1
done
kill -KILL -- "-$output" 2>/dev/null || true

if [ -e "$temporary/given_up" ]; then
  fail 1 "mpirun had to be ended $patience s after that error, because a host is out of its reach; ranks there end by themselves"
elif [ $requests -gt 1 ] && [ $status != 75 ] && [ $status != 0 ]; then
  fail 1 "the run was ended at once, as asked for; --resume goes on from its newest checkpoint"
fi
case $status in
  0 | 1 | 2 | 75) exit "$status" ;;
  138) # SIGUSR1, before elbo was ready for it
    if [ $requests -gt 0 ]; then fail 1 "the run was stopped before its first step; there is nothing to go on from"; fi
    ;;
esac
if [ $requests -gt 0 ]; then fail 1 "the command was ended, as asked for"; fi
if [ $status = 137 ]; then
  fail 1 "a rank or mpirun was killed (SIGKILL); if none of you did that, memory ran out or a host was lost: the lines above name it"
fi
fail 1 "mpirun ended with status $status; the lines above say why"
