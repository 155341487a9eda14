#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# model/run.sh [GROUP...]	run the model checker; groups:
#
#	quick	small sizes of everything; with seeds and group what test.sh runs
#	seeds	every seeded mistake must be found
#	group	several processes that must agree (group.pml), with its mistakes
#	base	the protocol, each size searched to the end
#	live	progress under weak fairness
#	big	the largest sizes; those marked "tried" need not end
#
# Output is TAP. Exit: 0 as expected, 1 not, 77 spin or a compiler is missing.
# LIMIT: seconds for one search (400). MEM: MiB for one (9500). KEEP: directory in which what
# was not expected is kept, with its trail.

# shellcheck disable=SC2317 # functions are called by the names of groups

set -u
here=$(cd "$(dirname "$0")" && pwd)
tmp=$(mktemp -d) || exit 1
trap 'rm -rf "$tmp"' EXIT
limit=${LIMIT:-400} mem=${MEM:-9500}
count=0 bad=0
# Of the compiler, and of pan's hash table; small searches are over before either pays.
level=-O1 hash=-w24

command -v spin >/dev/null || { echo "1..0 # SKIP spin is missing"; exit 77; }
command -v "${CC:-gcc}" >/dev/null || { echo "1..0 # SKIP no C compiler"; exit 77; }

# Which property does the assertion belong to that pan reports?
property()
{
	case $(grep -am1 '^pan:1:' out) in
	*"invalid end state"*) echo P3 ;;
	*"violated ok "*) echo P1 ;;
	*vgone* | *gfree* | *"far!="*) echo P2 ;;
	*"violated (cur||"* | *"entry["*) echo P4 ;;
	*occ*) echo shown ;;
	*yes*"||"*) echo G2 ;;
	*yes*) echo G1 ;;
	*) echo unknown ;;
	esac
}

# What the search said: the property it found violated, clean, incomplete or failed.
outcome()
{
	if grep -aq '^pan:1:' out; then
		property
	elif grep -aqE 'Search not completed|max search depth too small|interrupted' out; then
		echo incomplete
	elif grep -aq 'errors: 0' out; then
		echo clean
	else
		echo failed
	fi
}

# check NAME EXPECT [-m MODEL] [-p PAN-FLAGS] [-c CC-FLAGS] SPIN-FLAG...
# EXPECT: clean; the property that must be found violated; tried: no error, but it may be cut off.
check()
{
	local name=$1 expect=$2 model=transition pan="-m300000 $hash" opt=$level cc='-DSAFETY -DCOLLAPSE'
	local got states memory seconds=$SECONDS dir=$tmp/$1
	shift 2
	while :; do
		case ${1:-} in
		-m) model=$2 ;;
		-p) pan="$pan $2" ;;
		-c) cc=$2 opt=-O2 ;;
		*) break ;;
		esac
		shift 2
	done
	# What is found is found soon: the compiler would need longer than the search.
	case $expect in
	clean | tried) ;;
	*) opt=-O0 pan="$pan -w20" ;;
	esac
	mkdir "$dir" && cd "$dir" || exit 1
	# shellcheck disable=SC2086 # flags are words
	if spin -a "$@" "$here/$model.pml" >spin.log 2>&1 &&
	   ${CC:-gcc} $opt -w -DMEMLIM="$mem" -DVECTORSZ=2048 $cc -o pan pan.c >>spin.log 2>&1; then
		timeout -s INT "$limit" ./pan $pan >out 2>&1
		got=$(outcome)
	else
		got=failed
		cp spin.log out
	fi
	states=$(grep -aoE '[0-9.e+]+ states, stored' out | head -1)
	memory=$(grep -aE 'total actual memory usage' out | tr -s ' \t' ' ')
	count=$((count + 1))
	case $expect/$got in
	"$got/$got" | tried/clean | tried/incomplete) printf 'ok' ;;
	*)
		bad=1
		printf 'not ok'
		[ -n "${KEEP:-}" ] && cp -r "$dir" "$KEEP/"
		;;
	esac
	printf ' %d - %s %s # %s, %s,%s, %d s: %s\n' "$count" "$name" "$expect" "$got" \
		"${states:-no states}" "${memory:- }" "$((SECONDS - seconds))" "$*"
	cd "$here" && rm -rf "$dir"
}

quick()
{
	local level=-O0 hash=-w21
	check Q1 clean -DOP2=REPL2 -DDRAIN
	check Q2 clean -DOP2=UNLOAD -DNDEATH=1
	check Q3 clean -DNREV=1 -DDRAIN
	check Q4 clean -DNREV=1 -DNDEATH=1
	check Q5 clean -DCHURN -DDRAIN -DLATEFREE
	check Q6 clean -DATONCE -DCONTEXTS=2 -DNDEATH=1 -DDRAIN
	check Q7 clean -DSHORT -DOP2=UNLOAD -DDRAIN
	check Q8 clean -DNFORK=1 -DNREV=1
	check Q9 clean -DVERDICT -DDRAIN
	check Q10 clean -DOP2=LOAD2 -DOP3=UNLOW
}

# The names are those of the flags that switch the mistake on.
seeds()
{
	check S1    P1 -DS1 -DOP2=REPL2
	check S1-before P1 -DS1 -DOP2=REPL2 -DNOAFTER
	check S1-after  P1 -DS1 -DOP2=REPL2 -DNOBEFORE
	check S2    P4 -DS2 -DN=3 -DNP=2 -DSHARE
	check S3    P4 -DS3 -DCHURN
	check S4    P2 -DS4 -DOP2=LOAD2 -DOP3=REPL3 -DNFORCE=1
	check S5    P1 -DS5 -DNREV=1
	check S6A   P2 -DS6A
	check S6B   P2 -DS6B
	check S7    shown -DS7
	check S8    P1 -DS8 -DNDEATH=1
	check S9    P2 -DS9 -DOP2=UNLOAD -DNFORCE=1
	check S9-0  P2 -DS9 -DNREV=1 -DNDEATH=1
	check S10   P2 -DS10
	check S11   P1 -DS11 -DNREV=1 -DNDEATH=1 -DCHURN
	check S12   P1 -DS12 -DNREV=1 -DNDEATH=1
	check S13   P4 -DS13 -DCHURN
	check S14   P2 -DS14 -DOP2=REPL2
	check MIG   P1 -DMIGRATE
	check CTX   P1 -DCONTEXTS=1
	check S15   P1 -DS15 -DATONCE -DCONTEXTS=1
	check S16   P2 -DS16 -DSHORT -DOP2=UNLOAD
	check S17   P2 -DS17 -DATONCE -DCONTEXTS=2 -DNDEATH=1
	check S18   P2 -DS18 -DOP2=UNLOAD
	check S19   P4 -DS19 -DSHORT -DNDEATH=1 -DDRAIN
	check S20   P3 -DS20 -DVERDICT -DDRAIN
	check S21   P1 -DS21 -DNFORK=1
	check S22   P3 -DS22 -DNFORK=1 -DDRAIN
	check S23   P1 -DS23 -DNREV=1 -DNDEATH=1
}

base()
{
	# Without the force S4 does no harm, and without births S11 does none.
	check S4-0  clean -DS4 -DOP2=LOAD2 -DOP3=REPL3
	check S11-0 clean -DS11 -DNREV=1 -DNDEATH=1
	check B1 clean -DOP2=LOAD2 -DNDEATH=1 -DDRAIN
	check B2 clean -DOP2=REPL2 -DNDEATH=1 -DDRAIN -DLATEFREE
	check B3 clean -DOP2=UNLOAD -DNDEATH=1 -DDRAIN -DLATEFREE
	check B4 clean -DNREV=1 -DNDEATH=1 -DDRAIN -DCHURN -DLATEFREE
	check B5 clean -DATONCE -DMIGRATE -DOP2=REPL2 -DNDEATH=1 -DDRAIN
	check B6 clean -DOP2=LOAD2 -DOP3=REPL3 -DNFORCE=1 -DDRAIN
	check B7 clean -DNREV=2 -DNDEATH=1 -DDRAIN
	check B8 clean -DOP2=REPL2 -DNREV=1 -DCHURN -DDRAIN
	check B9 clean -DOP2=REPL2 -DNFORCE=1 -DNREV=1 -DDRAIN
	check B10 clean -DD=3 -DSIGNALS -DDRAIN
	check B11 clean -DN=3 -DNP=3 -DDRAIN
	check B12 clean -p -m6000000 -DN=3 -DNP=2 -DSHARE -DCHURN
	check B13 clean -DOP2=UNLOAD -DOP3=LOAD3 -DNDEATH=1 -DDRAIN -DLATEFREE
	check B14 clean -DOP2=LOAD2 -DOP3=UNLOW -DNDEATH=1 -DDRAIN
	check B15 clean -DATONCE -DCONTEXTS=1 -DOP2=REPL2 -DNDEATH=1 -DDRAIN
	check B16 clean -DATONCE -DCONTEXTS=2 -DOP2=UNLOAD -DNDEATH=1 -DDRAIN -DLATEFREE
	check B17 clean -DSHORT -DOP2=UNLOAD -DNDEATH=2 -DDRAIN
	check B18 clean -DSHORT -DNREV=1 -DNDEATH=1 -DDRAIN
	check B19 clean -DNFORK=1 -DNREV=1 -DNDEATH=1 -DDRAIN
	check B20 clean -DNFORK=1 -DCHURN -DNREV=1 -DDRAIN
	check B21 clean -DNFORK=1 -DOP2=REPL2 -DNDEATH=1 -DDRAIN
	check B22 clean -DVERDICT -DNREV=1 -DNDEATH=1 -DDRAIN
}

group()
{
	local level=-O0 hash=-w21
	check G1 clean -m group -DNDEATH=2
	check G2 clean -m group -DM=3 -DNDEATH=2 -DNEXIT=1
	check T1 G1 -m group -DT1 -DNDEATH=1
	check T2 G1 -m group -DT2 -DNDEATH=1
	check T3 G1 -m group -DT3 -DNDEATH=1
	check T4 G1 -m group -DT4 -DNDEATH=1
	check T5 G2 -m group -DT5
	# Not a mistake: it shows that this happens, and what no order of stores can help.
	check WINDOW G2 -m group -DWINDOW -DNDEATH=1
}

live()
{
	check L1 clean -p '-a -f' -c '-DCOLLAPSE -DNFAIR=3' -DLIVE -DDRAIN -DNREV=1
	check L2 clean -p '-a -f' -c '-DCOLLAPSE -DNFAIR=3' -DLIVE -DDRAIN -DOP2=REPL2
}

# MEM=16384 LIMIT=3600, or more. X1 is exact and takes 10.3 GiB; the others are bitstate: they look
# for errors. What is cut off proves nothing.
big()
{
	local bits='-DSAFETY -DBITSTATE'
	check X1 clean -p '-w27 -m3000000' -c '-DSAFETY -DCOLLAPSE' \
		-DOP2=REPL2 -DNREV=1 -DNFORCE=1 -DNDEATH=1 -DDRAIN
	check X2 tried -p -w33 -c "$bits" -DD=3 -DSIGNALS -DNREV=1 -DNDEATH=1 -DDRAIN
	check X3 tried -p -w33 -c "$bits" -DN=3 -DNP=2 -DSHARE -DCHURN -DNREV=1 -DNDEATH=1 -DDRAIN
	check X4 tried -p -w33 -c "$bits" -DNFORK=1 -DCHURN -DOP2=REPL2 -DNREV=1 -DNDEATH=1 -DDRAIN
}

for group in "${@:-quick}"; do
	case $group in
	quick | seeds | group | base | live | big) "$group" ;;
	*) echo "usage: run.sh [quick|seeds|group|base|live|big]..." >&2; exit 2 ;;
	esac
done
echo "1..$count"
exit $bad
