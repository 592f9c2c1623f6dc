#!/usr/bin/env bash
# A Slurm cluster of four nodes on one machine, for tests: all files in one folder, with separate ports, as any user.
#
#   tests/slurm/cluster.sh up FOLDER [PID]           # then: export SLURM_CONF=FOLDER/slurm.conf
#                                                    # with PID, it is shut down when that process ends
#   tests/slurm/cluster.sh node_lost FOLDER node3    # like a power failure: kills the daemon and all that it runs
#   tests/slurm/cluster.sh node_hangs FOLDER node3   # stops the daemon and all that it runs
#   tests/slurm/cluster.sh node_back FOLDER node3
#   tests/slurm/cluster.sh down FOLDER               # also after a failure; leaves no process
set -euo pipefail
PATH=$PATH:/usr/sbin:/sbin

usage() {
  sed -n '2,9s/^# \{0,1\}//p' "$0"
  exit "$1"
}
fail() {
  printf 'error: %s\n' "$1" >&2
  exit 1
}

case ${1:-} in
  up) [ $# = 2 ] || [ $# = 3 ] || usage 2 ;;
  down) [ $# = 2 ] || usage 2 ;;
  node_lost | node_hangs | node_back) [ $# = 3 ] || usage 2 ;;
  --help) usage 0 ;;
  *) usage 2 ;;
esac
action=$1
mkdir -p "$2"
folder=$(cd "$2" && pwd)
node=${3:-}
owner=${3:-}
nodes=(node1 node2 node3 node4)
export SLURM_CONF=$folder/slurm.conf

# Ids of the daemons and of slurmstepd: the processes that have a log of the cluster open. [NAME OF THE LOG]
daemons() {
  { find /proc/[0-9]*/fd -lname "$folder/${1:-*log}" 2>/dev/null || true; } | cut -d / -f 3 | sort -u
}

# Ids of the processes of jobs, by their environment variables. [FURTHER VARIABLE]
processes_of_jobs() {
  local environment variable
  for environment in /proc/[0-9]*/environ; do
    for variable in "SLURM_CONF=$SLURM_CONF" 'SLURM_JOB_ID=.*' "$@"; do
      grep -qzx "$variable" "$environment" 2>/dev/null || continue 2
    done
    environment=${environment%/environ}
    printf '%s\n' "${environment#/proc/}"
  done
}

# kill_all COMMAND…: kills the ids that COMMAND prints until it prints none, as a daemon may start new processes.
kill_all() {
  local processes
  for _ in {1..50}; do
    mapfile -t processes < <("$@")
    [ ${#processes[@]} != 0 ] || return 0
    kill -9 "${processes[@]}" 2>/dev/null || true
    sleep 0.1
  done
  fail "processes ${processes[*]} of $folder do not end; kill them by hand"
}

# signal_node SIGNAL: sends it to all processes of the node; fails if there are none.
signal_node() {
  local processes
  mapfile -t processes < <(daemons "slurmd.$node.log"; processes_of_jobs "SLURMD_NODENAME=$node")
  [ ${#processes[@]} != 0 ] && kill -"$1" "${processes[@]}"
}

start_node() {
  mkdir -p "$folder/spool/$1" "$folder/tmp/$1"
  slurmd -N "$1" -f "$SLURM_CONF" || fail "slurmd of $1 does not start; see $folder/slurmd.$1.log"
}

# Six consecutive free ports, below the range of ephemeral ports.
free_ports() {
  local base port
  for _ in {1..100}; do
    base=$((12000 + RANDOM % 18000))
    for port in $(seq $base $((base + 5))); do
      ! (: <"/dev/tcp/127.0.0.1/$port") 2>/dev/null || continue 2
    done
    printf '%s\n' $base
    return
  done
  fail "no six free ports in a row between 12000 and 30000"
}

up() {
  local program port nodes_ready
  for program in munged slurmctld slurmd sbatch; do
    command -v $program >/dev/null || fail "$program is missing; launch/setup.sh --tests installs it"
  done
  # Sockets have names of at most 107 bytes.
  [ ${#folder} -lt 60 ] || fail "$folder has too long a name; expected fewer than 60 letters"
  chmod 755 "$folder"
  mkdir -p "$folder/state" "$folder/munge"
  chmod 700 "$folder/munge"
  head -c 1024 /dev/urandom >"$folder/munge/key"
  chmod 600 "$folder/munge/key"
  # The socket's folder must be accessible to all users, the key's folder only to the owner.
  mkdir -p "$folder/socket"
  port=$(free_ports)
  cat >"$SLURM_CONF" <<CONF
ClusterName=test
SlurmctldHost=$(hostname -s)(127.0.0.1)
SlurmctldPort=$port
SlurmUser=$(id -un)
SlurmdUser=$(id -un)
AuthType=auth/munge
CredType=cred/munge
# A job that is requeued waits until its old credentials have expired.
AuthInfo=socket=$folder/socket/munge,cred_expire=5
StateSaveLocation=$folder/state
SlurmdSpoolDir=$folder/spool/%n
# Private folders of a node: nodes of one machine would share PMIx folders in /tmp.
TmpFS=$folder/tmp/%n
SlurmctldPidFile=$folder/slurmctld.pid
SlurmdPidFile=$folder/slurmd.%n.pid
SlurmctldLogFile=$folder/slurmctld.log
SlurmdLogFile=$folder/slurmd.%n.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SwitchType=switch/none
MpiDefault=none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
SchedulerType=sched/backfill
SchedulerParameters=bf_interval=1,sched_min_interval=100000
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
JobRequeue=0
ReturnToService=2
SlurmdTimeout=8
SlurmctldTimeout=8
MessageTimeout=5
KillWait=10
SlurmdParameters=config_overrides
NodeName=node[1-4] NodeHostname=$(hostname -s) NodeAddr=127.0.0.1 Port=$((port + 1))-$((port + 4)) CPUs=2
PartitionName=main Nodes=node[1-4] Default=YES MaxTime=UNLIMITED PriorityTier=1
PartitionName=urgent Nodes=node[1-4] MaxTime=UNLIMITED PriorityTier=10
CONF
  # --force: the folder is below /tmp, which all users can write to.
  munged --force --key-file="$folder/munge/key" --socket="$folder/socket/munge" --pid-file="$folder/munge/pid" \
    --log-file="$folder/munge.log" --seed-file="$folder/munge/seed" 2>"$folder/munge/warnings" ||
    fail "munged does not start: $(tail -n 1 "$folder/munge/warnings")"
  if [ -n "$owner" ]; then take_down_after "$owner" & fi
  slurmctld -f "$SLURM_CONF" || fail "slurmctld does not start; see $folder/slurmctld.log"
  local name
  for name in "${nodes[@]}"; do start_node "$name"; done
  for _ in {1..100}; do
    nodes_ready=$(sinfo --noheader --Node --partition=main --states=idle --format=%N 2>/dev/null | wc -l)
    [ "$nodes_ready" != ${#nodes[@]} ] || return 0
    sleep 0.1
  done
  fail "only $nodes_ready of ${#nodes[@]} nodes came up within 10 s; see $folder/slurmctld.log"
}

# In a separate process, which must not be among those that are killed.
take_down_after() {
  trap '' HUP INT TERM
  exec </dev/null >/dev/null 2>&1
  while [ -d "/proc/$1" ] && [ -d "$folder" ]; do sleep 0.5; done
  down
}

down() {
  kill_all daemons
  kill_all processes_of_jobs
}

case $action in
  up) up ;;
  down) down ;;
  node_lost)
    kill_all daemons "slurmd.$node.log"
    kill_all processes_of_jobs "SLURMD_NODENAME=$node"
    ;;
  node_hangs) signal_node STOP ;;
  node_back) signal_node CONT || start_node "$node" ;;
esac
