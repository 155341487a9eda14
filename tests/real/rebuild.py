# SPDX-License-Identifier: GPL-2.0-or-later
"""The program rebuilt with the fix, to compare the code of a patch with (tests/tools/samecode).

Of each package one more copy of its built tree is kept, NAME.twin. The files of a fix are changed
there, and the package's own build is run again where the first one ran: in the same chroot, at the
same path. Its configuration stays, since it depends on none of them; make compiles what does, and
links; where that makes no program the package compiles when it installs, and is made to its end. "rebuild"
of an entry is a command that does this, for packages whose rules configure by hand and then compile the
whole. Where nothing of this gives another program, or all gives other code, it is
built anew, from the configuration on. Afterwards the files are as they were.

Line numbers are in the code of some functions, and a patch keeps the old ones. A function that
differs is compared once more with a program whose changed files have the line directives the
builder gives them; the result then says "but for line numbers".
"""
import filecmp
import glob
import os
import re
import shutil

from sources import CACHE, apply_patch, copy_into, must, run

ENTER = """
set -e
root=$1 tree=$2 path=$3 log=$4
shift 4
mkdir -p "$root$path"
mount --bind "$tree" "$root$path"
if [ -n "$root" ]; then
	mount --rbind /proc "$root/proc"
	set -- chroot "$root" env -i HOME=/nonexistent LC_ALL=C.UTF-8 \\
		PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin \\
		DEB_BUILD_OPTIONS="nocheck parallel=$(nproc)" DEB_BUILD_PROFILES=noudeb sh -c 'cd "$0" && exec env "$@"' "$path" "$@"
else
	cd "$path"
fi
exec env "$@" >>"$log" 2>&1
"""
# By these debhelper knows how far a build is.
STAMPS = ["debhelper-build-stamp", "autoreconf.before", "autoreconf.after", "*.debhelper.log"]
# What configures: programs of these names do nothing when only the files of a fix are made again.
CONFIGURE = ["dh_update_autotools_config", "dh_autoreconf", "dh_auto_configure", "aclocal", "autoconf"]


def about_elf(path):
    """(build-id, has it a table of symbols?) of a linked file; None: it is something else."""
    try:
        with open(path, "rb") as f:
            head = f.read(18)
    except OSError:
        return None
    if head[:4] != b"\x7fELF" or head[16] not in (2, 3):
        return None
    text = run(["readelf", "-n", "-S", "-W", path]).stdout
    found = re.search(r"Build ID: (\w+)", text)
    return found and found[1], ".symtab" in text


def linked_files(tree, target):
    """Names in the tree of what the target is a copy of, with symbols; else of what has its name."""
    wanted, target = about_elf(target)[0], os.path.basename(os.path.realpath(target))
    same, named = [], []
    for where, dirs, files in os.walk(tree):
        dirs.sort()
        for name in sorted(files):
            path = os.path.join(where, name)
            about = None if os.path.islink(path) else about_elf(path)
            if about and about[1]:
                same += [os.path.relpath(path, tree)] * (about[0] == wanted)
                named += [os.path.relpath(path, tree)] * (name == target)
    return same or named


def files_of(diff):
    """Names of the files it changes, below the first directory."""
    with open(diff, encoding="utf-8", errors="surrogateescape") as f:
        found = re.findall(r"(?m)^--- (\S+).*\n\+\+\+ (\S+)", f.read())
    return [(old if new == "/dev/null" else new).split("/", 1)[1] for old, new in found]


class Twin:
    """Of a package that is built: its `place` has the tree, `work` the chroot. tools: directory."""

    def __init__(self, package, tools):
        self.package, self.tools = package, tools
        self.plain = os.path.join(package.place, "tree")
        self.base = os.path.join(CACHE, "work", package.name + ".twin")
        self.tree, self.fixed = os.path.join(self.base, "tree"), os.path.join(self.base, "fixed")
        self.used = os.path.join(self.base, "used")		# there: the tree has some fix in it

    def forget(self):
        shutil.rmtree(self.base, ignore_errors=True)

    def prepare(self):
        if not os.path.isdir(self.tree) or os.path.exists(self.used):
            self.forget()
            os.makedirs(self.base)
            with open(self.used, "wb"):
                must(["cp", "-a", "--reflink=auto", self.plain, self.tree])
            os.mkdir(os.path.join(self.tree, ".configured"))
            for name in CONFIGURE:
                os.symlink("/bin/true", os.path.join(self.tree, ".configured", name))
            os.unlink(self.used)

    def enter(self, *command):
        p = self.package
        root = "" if p.command else os.path.join(p.work, "root")
        return run(["unshare", "--mount", "sh", "-c", ENTER, "sh", root, self.tree, p.build_path(),
                    os.path.join(self.base, "log"), *p.env, *command]).returncode == 0

    def build(self, full, target):
        """The target of its rules; full: configure, and compile all."""
        quick = self.package.command or self.package.parts or not full and self.package.entry.get("rebuild")
        if quick:
            return self.enter(*quick)
        if full:
            return self.enter("dpkg-buildpackage", "-T", target)
        return self.enter("sh", "-c", 'PATH="$0:$PATH" exec "$@"', os.path.join(self.package.build_path(), ".configured"),
                          "dpkg-buildpackage", "-T", target)

    def make_fixed(self, diff, names):
        shutil.rmtree(self.fixed, ignore_errors=True)
        os.makedirs(self.fixed)
        copy_into(self.plain, names, self.fixed)
        if not apply_patch(self.fixed, diff):
            raise RuntimeError(f"{diff} does not apply to the built tree")

    def change(self, names, neutral):
        for name in names:
            before, after, to = (os.path.join(d, name) for d in (self.plain, self.fixed, self.tree))
            if not os.path.exists(after):
                os.unlink(to)
            elif neutral and os.path.exists(before):
                must([os.path.join(self.tools, "neutral"), before, after, to])
            else:
                os.makedirs(os.path.dirname(to), exist_ok=True)
                shutil.copyfile(after, to)

    def restore(self, names):
        for name in names:
            before, to = os.path.join(self.plain, name), os.path.join(self.tree, name)
            if os.path.exists(before):
                shutil.copyfile(before, to)
            elif os.path.exists(to):
                os.unlink(to)

    def rebuild(self, names, linked, full, neutral):
        """The path of the program with the fix; None: there is none, or it is the one without."""
        for name in linked:
            if os.path.exists(os.path.join(self.tree, name)):
                os.unlink(os.path.join(self.tree, name))
        for pattern in STAMPS:
            for path in glob.glob(os.path.join(glob.escape(self.tree), "debian", pattern)):
                os.unlink(path)
        self.change(names, neutral)
        for target in ["clean"] * full + ["build-arch", "binary-arch"]:
            if not self.build(full, target):
                return None
            for name in linked:
                path = os.path.join(self.tree, name)
                if os.path.exists(path) and not filecmp.cmp(path, os.path.join(self.plain, name), shallow=False):
                    return path
        return None

    def attempts(self, patch, names, linked):
        """(all is the same, output of samecode, what was done) of the first rebuild that has the same code."""
        best = (False, "the rebuilt program is not there, or the old one", "")
        for full in (False,) if self.package.command or self.package.parts else (False, True):
            for neutral in (False, True):
                program = self.rebuild(names, linked, full, neutral)
                if not program:
                    break
                done = run([os.path.join(self.tools, "samecode"), patch, program])
                best = (done.returncode == 0, done.stdout + done.stderr, " but for line numbers" if neutral else "")
                if best[0]:
                    return best
        return best

    def compare(self, patch, diff, target):
        """(is all code of the patch that of the rebuilt program?, "2 equal, 1 decoded", details)"""
        names, linked = files_of(diff), linked_files(self.plain, target)
        if not linked:
            return False, "", f"no file with symbols in the tree is {target}"
        self.prepare()
        self.make_fixed(diff, names)
        with open(self.used, "wb"):
            same, text, how = self.attempts(patch, names, linked)
        self.restore(names)
        os.unlink(self.used)
        verdicts = [line.split()[0] for line in text.splitlines() if line.strip()]
        counts = [f"{verdicts.count(v)} {v}" for v in ("equal", "masked", "decoded", "different") if v in verdicts]
        return same, ", ".join(counts) + how, text
