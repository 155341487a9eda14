# SPDX-License-Identifier: GPL-2.0-or-later
"""Debian's source packages: fetched, unpacked without some of their patches, and a patch as a diff.

Sources are kept in $UG_REAL_CACHE (/var/tmp/ugraft-real). apt works with lists of its own there:
the machine's configuration says where packages come from, and is not touched.
"""
import os
import re
import shutil
import subprocess

CACHE = os.environ.get("UG_REAL_CACHE", "/var/tmp/ugraft-real")
C_FILE = r"^(?!(?:.*/)?(?:tests?|testsuite|docs?|examples?)/).*\.[chyl]$"


class Gone(RuntimeError):
    """The source cannot be had here."""


def run(args, **kw):
    return subprocess.run(args, stdin=subprocess.DEVNULL, capture_output=True, text=True, errors="replace",
                          check=False, **kw)


def must(args, **kw):
    done = run(args, **kw)
    if done.returncode:
        raise RuntimeError(f"{' '.join(args)}: {done.stdout[-2000:]}{done.stderr[-2000:]}")
    return done


def apt_options():
    """Of a private apt with deb-src lines for what the machine's is configured with."""
    apt = os.path.join(CACHE, "apt")
    options = ["-q", "-o", f"Dir::Etc::SourceList={apt}/sources.list", "-o", "Dir::Etc::SourceParts=/dev/null",
               "-o", f"Dir::State::Lists={apt}/lists", "-o", f"Dir::Cache={apt}", "-o", "APT::Sandbox::User=root"]
    if os.path.exists(os.path.join(apt, "updated")):
        return options
    os.makedirs(os.path.join(apt, "lists", "partial"), exist_ok=True)
    found = must(["apt-get", "indextargets", "--format", "$(REPO_URI) $(RELEASE) $(COMPONENT)", "Origin: Debian",
                  "Created-By: Packages"]).stdout
    with open(os.path.join(apt, "sources.list"), "w", encoding="utf-8") as f:
        f.writelines(f"deb-src {line}\n" for line in sorted(set(found.splitlines())))
    must(["apt-get", *options, "update"])
    with open(os.path.join(apt, "updated"), "w", encoding="utf-8"):
        return options


def fetch_file(name, package, to):
    """From whichever archive of the machine has it: of one version they may each have a part."""
    uris = must(["apt-get", "indextargets", "--format", "$(REPO_URI)", "Origin: Debian",
                 "Created-By: Packages"]).stdout
    start = package[:4] if package.startswith("lib") else package[0]
    for uri in sorted(set(uris.split())):
        for pool in ("pool/updates/main", "pool/main"):
            where = f"{uri}{pool}/{start}/{package}/{name}"
            if run(["/usr/lib/apt/apt-helper", "download-file", where, os.path.join(to, name)]).returncode == 0:
                return
    raise Gone(f"no archive of this machine has {name}")


def fetch(package, version, files=None):
    """The path of its .dsc. With the names of its files they are taken without apt's lists."""
    base = os.path.join(CACHE, "src", f"{package}_{version.replace(':', '_')}")
    if not os.path.isdir(base):
        new = base + ".new"
        shutil.rmtree(new, ignore_errors=True)
        os.makedirs(new)
        if not files:
            source = ["apt-get", *apt_options(), "source", f"{package}={version}"]
            files = re.findall(r"(?m)^'\S+' (\S+)", run([*source, "--print-uris"], cwd=new).stdout)
            if not files:
                raise Gone(f"{package} {version} is in no list of sources")
        for name in files:
            fetch_file(name, package, new)
        os.rename(new, base)
    return next(e.path for e in os.scandir(base) if e.name.endswith(".dsc"))


def packages(*names):
    """The root of these binary packages, unpacked there together: the machine is left as it is."""
    root = os.path.join(CACHE, "packages", "+".join(names))
    if not os.path.isdir(root):
        new = root + ".new"
        shutil.rmtree(new, ignore_errors=True)
        os.makedirs(new)
        must(["apt-get", "-q", "-o", "APT::Sandbox::User=root", "download", *names], cwd=new)
        for deb in [e.path for e in os.scandir(new) if e.name.endswith(".deb")]:
            must(["dpkg", "-x", deb, new])
            os.unlink(deb)
        os.rename(new, root)
    return root


def series(tree):
    """The patches of the package, in their order."""
    try:
        with open(os.path.join(tree, "debian/patches/series"), encoding="utf-8") as f:
            lines = [line.split("#")[0].split() for line in f]
    except FileNotFoundError:
        return []
    return [words[0] for words in lines if words]


def apply_patch(tree, path, *options):
    """With the offsets and the fuzz patch(1) allows: another patch may be missing below it."""
    return run(["patch", "-p1", "-s", "-f", "-N", "-F2", "--no-backup-if-mismatch", "-d", tree, "-i", path,
                *options]).returncode == 0


def write_lines(path, lines):
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "w", encoding="utf-8") as f:
        f.writelines(line + "\n" for line in lines)


def write_series(tree, applied):
    """
    What dpkg and quilt find: these patches are the series, and all of them are applied. dpkg has
    nothing to put back, and a build that takes the last patches away by quilt can do so.
    """
    write_lines(os.path.join(tree, "debian/patches/series"), applied)
    for name, text in {".version": ["2"], ".quilt_patches": ["debian/patches"], ".quilt_series": ["series"],
                       "applied-patches": applied}.items():
        write_lines(os.path.join(tree, ".pc", name), text)


def unpack(dsc, tree, without):
    """The source with all patches but those, and those that depend on them: these are returned."""
    must(["dpkg-source", "--no-check", "--skip-patches", "-x", dsc, tree])
    names, applied, dropped = series(tree), [], []
    unknown = set(without) - set(names)
    if unknown:
        raise RuntimeError(f"{dsc} has no patch {' '.join(sorted(unknown))}")
    for name in names:
        path = os.path.join(tree, "debian/patches", name)
        if name in without:
            continue
        good = (apply_patch(tree, path, "--dry-run") and
                apply_patch(tree, path, "-V", "never", "-b", "-B", f".pc/{name}/"))
        (applied if good else dropped).append(name)
    if names:
        write_series(tree, applied)
    return dropped


def parts_of(patch, files):
    """(its hunks for files of that pattern, the files)"""
    with open(patch, encoding="utf-8", errors="surrogateescape") as f:
        parts = re.split(r"(?m)^(?=--- \S)", f.read())
    kept, names = "", []
    for part in parts:
        found = re.match(r"--- (\S+).*\n\+\+\+ (\S+)", part)
        name = found and next(n.split("/", 1)[-1] for n in (found[2], found[1]) if n != "/dev/null")
        if name and re.match(files, name):
            names.append(name)
            kept += re.sub(r"(?ms)^(diff --git|Index: ).*", "", part)
    return kept, names


def copy_into(tree, names, to):
    for name in names:
        path = os.path.join(to, name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        if os.path.exists(os.path.join(tree, name)):
            shutil.copy2(os.path.join(tree, name), path)


def make_diff(tree, names, work, files=C_FILE):
    """
    These patches of debian/patches as one diff against the tree, of the files of the program
    only: tests and documents are not what is compiled.
    """
    for d in ("a", "b"):
        shutil.rmtree(os.path.join(work, d), ignore_errors=True)
        os.makedirs(os.path.join(work, d))
    parts = [parts_of(os.path.join(tree, "debian/patches", n), files) for n in names]
    touched = list(dict.fromkeys(f for _, found in parts for f in found))
    copy_into(tree, touched, os.path.join(work, "a"))
    copy_into(tree, touched, os.path.join(work, "b"))
    part = os.path.join(work, "part.diff")
    for text, _ in parts:
        with open(part, "w", encoding="utf-8", errors="surrogateescape") as f:
            f.write(text)
        if not apply_patch(os.path.join(work, "b"), part):
            raise RuntimeError(f"{' '.join(names)}: does not apply without the patches that were left out")
    text = ""
    for name in touched:
        pair = [os.path.join(d, name) if os.path.exists(os.path.join(work, d, name)) else "/dev/null"
                for d in ("a", "b")]
        text += run(["diff", "-u", *pair], cwd=work).stdout
    if not text:
        raise RuntimeError(f"{' '.join(names)}: nothing in it is compiled")
    return text
