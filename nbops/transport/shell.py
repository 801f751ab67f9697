"""The shell functions that a stream defines on a host, and the runner of jobs. Text only.

Written for any POSIX sh (dash, ash, bash) with coreutils, `setsid` and, where it is there,
`flock` of util-linux. Only builtins are used where a request is made often: a program costs
the host half a millisecond.

What a job leaves in its folder (0700): `go` and `script` (what to run), `stdin`, `pid`
(process, start time, boot id, uptime at the start), `out`, `err`, `status` (exit status and
uptime at the end). A job lives while its leader lives or anything in its group or session;
zombies are dead. The leader writes `pid` before anything has an effect, and `status` last.
"""

RUNNER = r"""
w=$1
trap : HUP INT TERM
read -r s </proc/$$/stat; s=${s##*) }; set -- $s
read -r b </proc/sys/kernel/random/boot_id
read -r u x </proc/uptime
printf '%s\n' "$$ ${20} $b $u" >"$w/pid" || exit 125
( . "$w/go" ) 3<"$w/script" <"$w/stdin" >"$w/out" 2>"$w/err"
s=$?
read -r u x </proc/uptime
printf '%s\n' "$s $u" >"$w/status"
"""

_BASICS = r"""
unset CDPATH
trap : USR1
nbops_mask=$(umask); nbops_r=
exec 8>&2
nbops_end() { printf '%s\n' "$1 $2"; printf '%s\n' "$1" >&2; }
nbops_stat() { # PID: sets nbops_state, nbops_group, nbops_session, nbops_start
  { read -r nbops_s </proc/$1/stat; } 2>/dev/null || return 1
  set -- ${nbops_s##*) }
  nbops_state=$1 nbops_group=$3 nbops_session=$4 nbops_start=${20}
}
nbops_hello() { # MARK MACHINE: the stream's process group, when its leader started, the machine
  nbops_s=; { read -r nbops_s </etc/machine-id; } 2>/dev/null
  case $nbops_s in ''|*[!0-9a-f]*) nbops_s=-;; esac
  if [ -n "$2" ] && [ "$2" != "$nbops_s" ]; then nbops_end "$1" "other $nbops_s"; exit 0; fi
  nbops_m=$nbops_s
  nbops_stat $$; nbops_g=$nbops_group
  nbops_stat "$nbops_g"; nbops_end "$1" "$nbops_g $nbops_start $nbops_m"
}
nbops_private() { # FOLDER MODE-PATTERN: ours, no link, nobody else writes there
  [ -d "$1" ] && [ ! -L "$1" ] && [ -O "$1" ] || return 1
  nbops_s=$(ls -ld -- "$1") || return 1
  case $nbops_s in $2) return 0;; esac
  return 1
}
nbops_folder() { # make the run's folder, or find it: nbops_r
  [ -z "$nbops_r" ] || [ ! -d "$nbops_r" ] || return 0
  umask 077
  for nbops_b in "${HOME:-/nonexistent}/.nbops" "/var/tmp/.nbops-$(id -u)"; do
    { [ -d "$nbops_b" ] || mkdir "$nbops_b"; } 2>/dev/null
    nbops_private "$nbops_b" 'd????-??-?*' || continue
    nbops_r=$nbops_b/run-$nbops_run
    { [ -d "$nbops_r" ] || mkdir "$nbops_r"; } 2>/dev/null
    nbops_private "$nbops_r" 'd???------*' || { nbops_r=; continue; }
    [ -f "$nbops_r/runner" ] || {
      printf %s "$nbops_runner" >"$nbops_r/runner.$$" && mv "$nbops_r/runner.$$" "$nbops_r/runner"
    } || nbops_r=
    break
  done
  umask "$nbops_mask"
  [ -n "$nbops_r" ]
}
nbops_known() { # find the run's folder, make nothing
  for nbops_r in "${HOME:-/nonexistent}/.nbops/run-$nbops_run" \
      "/var/tmp/.nbops-$(id -u)/run-$nbops_run"; do
    nbops_private "$nbops_r" 'd???------*' && return 0
  done
  nbops_r=; return 1
}
"""

_JOBS = r"""
nbops_emit() { # what is new in both outputs
  [ ! -s "$nbops_d/out" ] || cat <&5
  [ ! -s "$nbops_d/err" ] || cat <&6 >&2
}
nbops_begin() { # MARK FOLDER JOBMARK LIVE OUT ERR FENCE NUMBER
  nbops_folder || { nbops_end "$1" folder; return; }
  nbops_d=$nbops_r/$2
  if [ -d "$nbops_d" ]; then nbops_attach "$1" "$5" "$6"; return; fi
  nbops_p=
  if [ -z "$7" ]; then
    nbops_start "$3"
  elif [ ! -r "$7" ]; then
    nbops_end "$1" "fence unreadable"; return
  else
    nbops_g=${7%/*}/guard; [ -r "$nbops_g" ] || nbops_g=$7
    { nbops_granted "$7" "$8" && nbops_start "$3"; } 9<"$nbops_g"
  fi
  case $? in
    0) ;;
    3) nbops_end "$1" "fence $nbops_n"; return;;
    4) nbops_attach "$1" "$5" "$6"; return;;
    *) nbops_end "$1" folder; return;;
  esac
  exec 5<"$nbops_d/out" 6<"$nbops_d/err"
  while :; do
    [ -z "$4" ] || ( sleep "$4"; kill -USR1 $$ ) </dev/null >/dev/null 2>&1 8>&- &
    wait "$nbops_p"
    kill -0 "$nbops_p" 2>/dev/null || break
    [ -z "$4" ] || nbops_emit
  done
  if [ ! -s "$nbops_d/pid" ]; then
    exec 5<&- 6<&-; rm -rf -- "$nbops_d"
    if command -v setsid >/dev/null; then nbops_end "$1" folder; else nbops_end "$1" setsid; fi
    return
  fi
  [ -s "$nbops_d/status" ] || nbops_rest
  nbops_finish "$1"
}
nbops_rest() { # until nothing of the job lives any more
  nbops_pid || return
  while nbops_lives; do nbops_emit; sleep 0.2; done
}
nbops_granted() { # FENCE NUMBER; open as 9 is what its writers lock: `guard` beside it, or itself
  ! command -v flock >/dev/null || flock -s -w 30 9 || { nbops_n=busy; return 3; }
  nbops_n=; read -r nbops_n nbops_s <"$1"
  case $nbops_n in ''|*[!0-9]*) nbops_n=unreadable; return 3;; esac
  [ "$nbops_n" -le "$2" ] || return 3
}
nbops_start() { # JOBMARK: 0 begun: nbops_p; 4 there already; 1 no folder
  umask 077
  mkdir "$nbops_d" 2>/dev/null || { umask "$nbops_mask"; [ -d "$nbops_d" ] && return 4; return 1; }
  nbops_files
  nbops_s=$?
  umask "$nbops_mask"
  [ "$nbops_s" = 0 ] || { rm -rf -- "$nbops_d"; return 1; }
  NBOPS_JOB=$1 setsid /bin/sh "$nbops_r/runner" "$nbops_d" </dev/null >/dev/null 2>&1 8>&- 9<&- &
  nbops_p=$!
}
nbops_finish() { # MARK: the rest of the output, and how it ended
  nbops_emit
  exec 5<&- 6<&-
  nbops_status "$1"
}
nbops_status() {
  nbops_x=; [ ! -r "$nbops_d/status" ] || read -r nbops_x nbops_u <"$nbops_d/status"
  if [ -n "$nbops_x" ]; then nbops_end "$1" "ended $nbops_x"; else nbops_end "$1" lost; fi
}
nbops_pid() { # what the job wrote about itself: nbops_p, nbops_t, nbops_boot
  nbops_i=0 nbops_p=0 nbops_t=0 nbops_boot=
  while [ ! -s "$nbops_d/pid" ]; do
    [ -d "$nbops_d" ] && [ "$nbops_i" -lt 100 ] || return 1
    nbops_i=$((nbops_i + 1)); sleep 0.1
  done
  read -r nbops_p nbops_t nbops_boot nbops_v <"$nbops_d/pid"
  read -r nbops_s </proc/sys/kernel/random/boot_id
  [ "$nbops_s" = "$nbops_boot" ]
}
nbops_leads() { # PID START: that very process lives
  nbops_stat "$1" || return 1
  case $nbops_state in [ZXx]) return 1;; esac
  [ "$nbops_start" = "$2" ]
}
nbops_lives() { # whether the job does
  [ ! -s "$nbops_d/status" ] || return 1
  nbops_leads "$nbops_p" "$nbops_t" && return 0
  [ ! -s "$nbops_d/status" ] && [ -n "$(nbops_pids "$nbops_p" "$nbops_t" '')" ]
}
nbops_attach() { # MARK OUT ERR
  nbops_pid
  [ -f "$nbops_d/out" ] && [ -f "$nbops_d/err" ] || { nbops_end "$1" lost; return; }
  exec 5<"$nbops_d/out" 6<"$nbops_d/err"
  [ "$2" = 0 ] || tail -c "+$(($2 + 1))" <&5
  [ "$3" = 0 ] || tail -c "+$(($3 + 1))" <&6 >&2
  nbops_rest
  nbops_finish "$1"
}
nbops_look() { # MARK FOLDER
  nbops_known && nbops_d=$nbops_r/$2 && [ -d "$nbops_d" ] || { nbops_end "$1" absent; return; }
  if nbops_pid && nbops_lives; then nbops_end "$1" running; return; fi
  [ -s "$nbops_d/status" ] || { nbops_end "$1" lost; return; }
  cat "$nbops_d/out"; cat "$nbops_d/err" >&2
  read -r nbops_x nbops_u <"$nbops_d/status"
  nbops_end "$1" "ended $nbops_x $nbops_v $nbops_u"
}
"""

_ENDS = r"""
nbops_pids() { # GROUP START MARK: the processes of a group, a session or a mark that live
  if nbops_stat "$1" && [ "$nbops_start" != "$2" ]; then set -- none "$2" "$3"; fi
  for nbops_f in /proc/[0-9]*/stat; do
    nbops_f=${nbops_f#/proc/}; nbops_f=${nbops_f%/stat}
    nbops_stat "$nbops_f" || continue
    case $nbops_state in [ZXx]) continue;; esac
    [ "$nbops_group" = "$1" ] || [ "$nbops_session" = "$1" ] || continue
    printf '%s ' "$nbops_f"
  done
  [ -z "$3" ] || for nbops_f in $(grep -l -F "NBOPS_JOB=$3" /proc/[0-9]*/environ 2>/dev/null); do
    nbops_f=${nbops_f#/proc/}; nbops_f=${nbops_f%/environ}
    nbops_stat "$nbops_f" || continue
    case $nbops_state in [ZXx]) continue;; esac
    printf '%s ' "$nbops_f"
  done
}
nbops_kill() { # GROUP START MARK: TERM, after 2 s KILL, until all are dead: nbops_left
  read -r nbops_i nbops_s </proc/uptime
  nbops_i=${nbops_i%%.*} nbops_u= nbops_x=
  while :; do
    nbops_left=$(nbops_pids "$1" "$2" "$3")
    if [ -z "$nbops_left" ]; then # looked twice: one that forks or execs can be overlooked
      [ -z "$nbops_x" ] || return 0
      nbops_x=once; sleep 0.02; continue
    fi
    nbops_x=
    [ -n "$nbops_u" ] || { kill $nbops_left; kill -CONT $nbops_left; } 2>/dev/null
    read -r nbops_u nbops_s </proc/uptime
    nbops_u=$((${nbops_u%%.*} - nbops_i))
    [ "$nbops_u" -lt 3 ] || kill -KILL $nbops_left 2>/dev/null
    [ "$nbops_u" -lt 20 ] || return 1
    sleep 0.05
  done
}
nbops_kill_job() { # MARK FOLDER JOBMARK
  nbops_known && nbops_d=$nbops_r/$2 && [ -d "$nbops_d" ] || { nbops_end "$1"; return; }
  nbops_pid || nbops_p=none
  nbops_kill "$nbops_p" "$nbops_t" "$3" || { nbops_end "$1" "$nbops_left"; return; }
  [ -s "$nbops_d/status" ] || [ "$nbops_p" = none ] || {
    read -r nbops_u nbops_s </proc/uptime; printf '%s\n' "137 $nbops_u" >"$nbops_d/status"
  }
  nbops_end "$1"
}
"""

_FILES = r"""
nbops_where() { # MARK NAME: the path, and whether something is there
  nbops_folder || { nbops_end "$1" folder; return; }
  printf %s "$nbops_r/$2"
  if [ -f "$nbops_r/$2" ]; then nbops_end "$1" there; else nbops_end "$1" absent; fi
}
nbops_store() { # MARK NAME, content on the standard input
  nbops_folder || { nbops_end "$1" folder; return; }
  umask 077
  cat >"$nbops_r/$2.$$" && mv -f -- "$nbops_r/$2.$$" "$nbops_r/$2"
  nbops_s=$?
  umask "$nbops_mask"
  printf %s "$nbops_r/$2"
  nbops_end "$1" "ended $nbops_s"
}
nbops_sweep() { # MARK
  nbops_known || { nbops_end "$1" "ended 0"; return; }
  for nbops_d in "$nbops_r"/j-*; do
    [ -d "$nbops_d" ] && nbops_pid && nbops_lives && { nbops_end "$1" "running"; return; }
  done
  if [ -f "$nbops_r/litter" ]; then
    while IFS= read -r nbops_l; do rm -f -- "$nbops_l"; done <"$nbops_r/litter"
  fi
  rm -rf -- "$nbops_r"; nbops_s=$?
  rmdir -- "${nbops_r%/*}" 2>/dev/null
  nbops_end "$1" "ended $nbops_s"
}
"""

FUNCTIONS = "".join((_BASICS, _JOBS, _ENDS, _FILES))
