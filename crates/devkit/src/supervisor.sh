# Runs a PostgreSQL server for as long as somebody holds our standard input open.
#
# The holder may be killed in any way, or exit without a word: the system then
# closes its end of the pipe, and that ends the server here. Called with the
# cluster's folder and the server's command line.

folder=$1
shift
exec 3<&0 </dev/null

"$@" >"$folder/log" 2>&1 3<&- &
server=$!

{
    while read -r line; do :; done
    # Fast, then immediate, then by force: nobody needs the data any more.
    for signal in INT QUIT KILL; do
        kill -s "$signal" "$server"
        for second in 1 2 3 4 5; do sleep 1; done
    done
} <&3 >/dev/null 2>&1 &

wait "$server"
trap '' TERM
kill -s TERM 0
# The holder looks for this while it waits for the server to be ready, and
# reads the log; so both stay until it lets go.
: >"$folder/exited"
while read -r line; do :; done <&3
exec rm -rf "$folder"
