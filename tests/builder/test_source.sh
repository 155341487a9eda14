#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# Where the source of a package comes from: two archives on loopback list one version, and have lost
# some of its files. The build ends after that, in a base system that is no archive. And what a build is
# told, in a chroot with nothing in it. TAP on stdout.
#
#	test_source.sh UGRAFT

# shellcheck source-path=SCRIPTDIR
. "$(dirname "$0")/lib.sh"

for tool in apt-get dpkg-source dpkg-scansources; do
	if [ "$(id -u)" -ne 0 ] || ! command -v $tool >/dev/null; then
		echo "1..0 # SKIP needs root and $tool"
		exit 0
	fi
done

# ---- a source package ----

mkdir -p thing-1/debian/source
echo 'int main(void) { return 0; }' >thing-1/thing.c
tar -czf thing_1.orig.tar.gz thing-1/thing.c
echo '3.0 (quilt)' >thing-1/debian/source/format
cat >thing-1/debian/control <<'CONTROL'
Source: thing
Maintainer: Somebody <somebody@localhost>

Package: thing
Architecture: any
Description: a thing
CONTROL
cat >thing-1/debian/changelog <<'CHANGELOG'
thing (1-1) stable; urgency=low

  * A thing.

 -- Somebody <somebody@localhost>  Thu, 01 Jan 2026 00:00:00 +0000
CHANGELOG
dpkg-source -b thing-1 >out 2>err || { sed 's/^/# /' out err; exit 1; }

# ---- two archives ----

# A file is answered with 503 when one of its name with ".busy" is there.
cat >serve.py <<'PYTHON'
import http.server, os, sys
class Handler(http.server.SimpleHTTPRequestHandler):
	def send_head(self):
		if os.path.exists(self.translate_path(self.path) + ".busy"):
			return self.send_error(503)
		return super().send_head()
server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
with open("port.new", "w") as f:
	f.write(str(server.server_address[1]))
os.rename("port.new", "port")
server.serve_forever()
PYTHON
python3 serve.py >served 2>&1 &
server=$!
trap 'kill $server; rm -rf "$tmp"' EXIT
for ((i = 0; i < 100; i++)); do
	[ -e port ] && break
	sleep 0.1
done
place=http://127.0.0.1:$(cat port)

for a in one two; do
	lists=$a/dists/stable/main
	mkdir -p $lists/source $lists/binary-amd64
	mkdir -p $a/pool
	cp thing_1* $a/pool
	(cd $a && dpkg-scansources pool) >$lists/source/Sources 2>/dev/null
	printf 'Package: thing\nVersion: 1-1\nArchitecture: amd64\nFilename: pool/thing.deb\nSize: 1\n\n' >$lists/binary-amd64/Packages
	{
		printf 'Origin: Debian\nSuite: stable\nCodename: stable\nComponents: main\nArchitectures: amd64\nSHA256:\n'
		(cd $a/dists/stable && for f in main/*/*; do
			echo " $(sha256sum <"$f" | cut -d' ' -f1) $(stat -c %s "$f") $f"
		done)
	} >$a/dists/stable/Release
	echo "deb [trusted=yes] $place/$a stable main" >>sources.list
done
mkdir -p lists/partial archives/partial
cat >apt.conf <<CONF
Dir::Etc::SourceList "$tmp/sources.list";
Dir::Etc::SourceParts "/dev/null";
Dir::State::Lists "$tmp/lists";
Dir::Cache "$tmp";
APT::Sandbox::User "root";
APT::Get::AllowUnauthenticated "true";
Acquire::AllowInsecureRepositories "true";
Acquire::Retries "0";
Acquire::http::Proxy "DIRECT";
CONF
export APT_CONFIG=$tmp/apt.conf
apt-get -q update >out 2>err || { sed 's/^/# /' out err; exit 1; }

mkdir cache
# shellcheck source=/dev/null
codename=$(. /etc/os-release && echo "$VERSION_CODENAME")
echo "no archive" >"cache/base-$codename.tar"

# with LOST...: what is fetched when these files are not there.
with()
{
	local f
	for f in "$@"; do
		mv "$f" "$f.lost"
	done
	rm -rf work
	"$ugraft" build --deb thing=1-1 --to 2 --work work --cache cache >out 2>err
	status=$?
	for f in "$@"; do
		mv "$f.lost" "$f"
	done
	cat work/deb.log >>out
}

fetched()
{
	says 1 "the archive cannot be unpacked" && cmp -s thing-1/thing.c work/source/thing.c
}

orig=pool/thing_1.orig.tar.gz debian=pool/thing_1-1.debian.tar.xz
with
point "it is fetched" fetched
with one/$orig
point "the first has lost a file: from the second" fetched
with two/$orig two/pool/thing_1-1.dsc
point "the second has lost two: from the first" fetched
with one/$orig two/$debian
point "each has lost another: from both" fetched
with one/$orig two/$orig
point "both have lost it: it is gone" says 5 "the source of thing 1-1, which is what runs, is no longer"
point "and nothing is unpacked" test ! -e work/source
touch two/$orig.busy
with one/$orig
rm two/$orig.busy
point "one does not answer: it may not be gone" says 1 "apt-get cannot fetch the source of thing 1-1: E: Failed to fetch"
mkdir away
mv two/dists away
with
point "the other has no lists: from the one" fetched
with one/$orig
point "the one has lost a file: the other may have it" says 1 "apt-get cannot fetch the source of thing 1-1: E: "

# ---- what it is built with ----

# A chroot in which dpkg-buildpackage says what is set, and apt has nothing to do.
mkdir -p root/usr/bin root/usr/sbin root/proc root/tmp
cp /usr/bin/env /usr/bin/sh /usr/bin/true root/usr/bin
for library in $(ldd /usr/bin/env /usr/bin/sh /usr/bin/true | grep -o '/[^ ]*' | grep -v ':$' | sort -u); do
	mkdir -p "root$(dirname "$library")"
	cp -L "$library" "root$library"
done
printf '#!/usr/bin/sh\nexec env\n' >root/usr/bin/dpkg-buildpackage
chmod +x root/usr/bin/dpkg-buildpackage

# kept PROFILES: the chroot is in the cache, for these profiles.
kept()
{
	tar -cf "cache/deps-$codename-thing-$(python3 - "$1" <<'PYTHON'
import sys
n = 0xcbf29ce484222325
for byte in open("thing-1/debian/control", "rb").read() + sys.argv[1].encode():
	n = (n ^ byte) * 0x100000001b3 % (1 << 64)
print(f"{n:016x}")
PYTHON
)".tar -C root .
}

# sets OPTION...: in the build all these lines are there.
built_with()
{
	rm -rf work
	"$ugraft" build --deb thing=1-1 --to 2 --work work --cache cache "$@" >out 2>err
	status=$?
	cat work/build/build.log >>out 2>>err
}
sets()
{
	local line
	for line in "$@"; do
		grep -qxF -- "$line" out || return
	done
}

# Without one in the cache apt is asked.
# shellcheck disable=SC2016 # for the script
printf '#!/usr/bin/sh\necho apt-get "$@"\n' >root/usr/bin/apt-get
chmod +x root/usr/bin/apt-get
mkdir root/etc
tar -cf "cache/base-$codename.tar" -C root .
built_with
cat work/deb.log >>out
point "nothing that only documents need" grep -q "^apt-get.* --arch-only build-dep " out
rm cache/deps-*
echo "no archive" >"cache/base-$codename.tar"

kept ""
built_with
point "a chroot that was made for no profiles, or for unknown ones, is not taken" says 1 "the archive cannot be unpacked"
kept "DEB_BUILD_PROFILES=noudeb"
built_with
point "no tests, no installer" sets "DEB_BUILD_OPTIONS=nocheck parallel=$(nproc)" "DEB_BUILD_PROFILES=noudeb"
built_with --deb-env DEB_CFLAGS_APPEND=-fno-lto --deb-env "DEB_BUILD_OPTIONS=nocheck nodoc"
point "variables are set, and go before ugraft's" sets DEB_CFLAGS_APPEND=-fno-lto "DEB_BUILD_OPTIONS=nocheck nodoc"
built_with --deb-env "DEB_BUILD_PROFILES=nodoc"
point "other profiles, another chroot" says 1 "the archive cannot be unpacked"
kept "DEB_BUILD_PROFILES=nodoc"
built_with --deb-env "DEB_BUILD_PROFILES=nodoc"
point "which is kept, too" sets "DEB_BUILD_PROFILES=nodoc"
# shellcheck disable=SC2016 # it is set there
built_with -- sh -c 'echo "said: $DEB_BUILD_OPTIONS"'
point "a command instead of dpkg-buildpackage" sets "said: nocheck parallel=$(nproc)"
built_with --deb-env =x
point "a variable has a name" says 2 "deb-env"
"$ugraft" build --src thing-1 --to 2 --deb-env A=b -- true >out 2>err
status=$?
point "without --deb there is no such build" says 2 "--deb-env is for the build of --deb"

echo "1..$n"
