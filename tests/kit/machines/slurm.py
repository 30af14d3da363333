"""Stand-ins for Slurm's commands: an array's tasks are processes of this machine."""

import os
from pathlib import Path

_SBATCH = r"""#!/bin/sh
# Starts every task of the array in a session of its own, as another machine would.
state=@STATE@
if [ -f "$state/refuses" ]; then cat "$state/refuses" >&2; exit 1; fi
if [ -f "$state/says" ]; then cat "$state/says"; exit 0; fi
number=$((4711 + $(ls "$state" | grep -c '^job-')))
job="$state/job-$number"
mkdir "$job"
for word in "$@"; do [ -f "$word" ] && file=$word; done
cat ${file:+"$file"} > "$job/script"
last=$(sed -n 's/^#SBATCH --array=0-\([0-9]*\)$/\1/p' "$job/script")
cpus=$(sed -n 's/^#SBATCH --cpus-per-task=\([0-9]*\)$/\1/p' "$job/script")
for task in $(seq 0 "${last:-0}"); do
    if [ -f "$state/waits" ]; then touch "$job/pending-$task"; continue; fi
    SLURM_ARRAY_JOB_ID=$number SLURM_ARRAY_TASK_ID=$task \
        setsid ${cpus:+taskset -c 0-$((cpus - 1))} sh "$job/script" \
        > "$job/out-$task" 2>&1 < /dev/null &
    echo $! > "$job/pid-$task"
done
echo "$number"
"""
_SQUEUE = r"""#!/bin/sh
for word in "$@"; do case $word in --jobs=*) number=${word#--jobs=};; esac; done
if [ "${number%,*}" = "$number" ] && [ ! -d "@STATE@/job-$number" ]; then
    echo "slurm_load_jobs error: Invalid job id specified" >&2; exit 1
fi
for job in $(echo "$number" | tr , ' '); do
    for one in "@STATE@/job-$job"/pending-*; do [ -f "$one" ] && echo PENDING; done
    for one in "@STATE@/job-$job"/pid-*; do
        [ -f "$one" ] || continue
        grep -qs 'State:.*[^Z]$' "/proc/$(cat "$one")/status" || continue
        grep -qs 'State:.*Z' "/proc/$(cat "$one")/status" || echo RUNNING  # nobody waited for it
    done
done
exit 0
"""
_SCANCEL = r"""#!/bin/sh
if [ -f "@STATE@/refuses" ]; then cat "@STATE@/refuses" >&2; exit 1; fi
for number in "$@"; do
    job="@STATE@/job-$number"
    rm -f "$job"/pending-*
    for one in "$job"/pid-*; do [ -f "$one" ] && kill -TERM -"$(cat "$one")" 2> /dev/null; done
done
exit 0
"""
_SRUN = r"""#!/bin/sh
while [ "${1#--}" != "$1" ]; do shift; done
exec "$@"
"""


class StandIn:
    """Slurm as one folder: what it was asked, and what it is to answer.

    Parameters
    ----------
    folder : Path
        Gets ``bin``, which belongs on the path, and ``state``.
    """

    def __init__(self, folder: Path) -> None:
        self.bin, self.state = folder / "bin", folder / "state"
        for one in (self.bin, self.state):
            one.mkdir(parents=True)
        texts = {"sbatch": _SBATCH, "squeue": _SQUEUE, "scancel": _SCANCEL, "srun": _SRUN}
        for name, text in texts.items():
            path = self.bin / name
            path.write_text(text.replace("@STATE@", str(self.state)))
            path.chmod(0o755)

    def path(self) -> str:
        """The variable PATH with these commands in front."""
        return f"{self.bin}{os.pathsep}{os.environ['PATH']}"

    def refuse(self, text: str) -> None:
        """Let sbatch and scancel refuse from now on."""
        (self.state / "refuses").write_text(text)

    def say(self, text: str) -> None:
        """Let sbatch print something else than a number."""
        (self.state / "says").write_text(text)

    def hold(self) -> None:
        """Let tasks wait for ever."""
        (self.state / "waits").touch()

    def script(self, number: str) -> str:
        """What sbatch was given."""
        return (self.state / f"job-{number}" / "script").read_text()

    def printed(self, number: str) -> str:
        """What the tasks of a job said."""
        folder = self.state / f"job-{number}"
        return "".join(path.read_text() for path in sorted(folder.glob("out-*")))

    def pids(self, number: str) -> list[int]:
        """Processes of the tasks."""
        folder = self.state / f"job-{number}"
        return [int(path.read_text()) for path in sorted(folder.glob("pid-*"))]
