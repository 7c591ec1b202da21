# Runs a PostgreSQL server until the parent process closes our standard input.
#
# If the parent process exits or is killed, the system closes its end of the
# pipe, and this script stops the server. Arguments: the cluster's folder and
# the server's command line.

folder=$1
shift
exec 3<&0 </dev/null

"$@" >"$folder/log" 2>&1 3<&- &
server=$!

{
    while read -r line; do :; done
    # Fast shutdown, then immediate shutdown, then SIGKILL: the data is not needed any more.
    for signal in INT QUIT KILL; do
        kill -s "$signal" "$server"
        for second in 1 2 3 4 5; do sleep 1; done
    done
} <&3 >/dev/null 2>&1 &

wait "$server"
trap '' TERM
kill -s TERM 0
# The parent process checks for this file while it waits for the server to be
# ready, and reads the log. So both are kept until it closes the pipe.
: >"$folder/exited"
while read -r line; do :; done <&3
exec rm -rf "$folder"
