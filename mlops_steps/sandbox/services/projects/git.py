"""The Git repository of a project, through the ``git`` command."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mlops_steps.sandbox.node.errors import DssError, bad_request, not_found
from mlops_steps.sandbox.node.store import iso_time

BRANCH = "master"
GIT_SECONDS = 60.0
# Local variables belong to one node; DSS keeps them out of what is shared.
_EXCLUDED = "localvariables.json\n.*.tmp\n__pycache__/\n"
_SEPARATOR = "\x1f"
_RECORD = "\x1e"
_LOG_FORMAT = _SEPARATOR.join(("%H", "%P", "%an", "%ae", "%at", "%B")) + _RECORD


class ProjectGit:
    """The repository in ``project_config/``."""

    def __init__(self, directory: Path) -> None:
        self.dir = directory

    def run(self, *arguments: str, check: bool = True) -> str:
        """Runs git and returns what it prints.

        :raises DssError: git failed and ``check`` is set; the message is git's.
        """
        try:
            done = subprocess.run(
                ["git", *_SETTINGS, *arguments],
                cwd=self.dir,
                env=_environment(),
                stdin=subprocess.DEVNULL,
                capture_output=True,
                timeout=GIT_SECONDS,
                check=False,
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            raise DssError(500, "java.io.IOException", f"git {arguments[0]} failed: {error}") from error
        if check and done.returncode != 0:
            raise bad_request(f"git {arguments[0]} failed: {done.stderr.decode(errors='replace').strip()}")
        return done.stdout.decode(errors="replace")

    def ensure(self) -> None:
        """Makes the repository when there is none."""
        if not (self.dir / ".git").is_dir():
            self.run("init", "--quiet", f"--initial-branch={BRANCH}")
            exclude = self.dir / ".git" / "info" / "exclude"
            exclude.parent.mkdir(exist_ok=True)
            exclude.write_text(_EXCLUDED, encoding="utf-8")

    def adopt(self) -> None:
        """Takes over a repository that came in an archive: its commits, branches and tags.

        Its settings and hooks are dropped, as they could run commands on this machine; one that is damaged goes.
        """
        place = self.dir / ".git"
        if not place.is_dir():
            return
        shutil.rmtree(place / "hooks", ignore_errors=True)
        (place / "config").write_text("[core]\n\trepositoryformatversion = 0\n\tbare = false\n", encoding="utf-8")
        if not self.run("rev-parse", "--verify", "--quiet", "HEAD^{commit}", check=False).strip():
            shutil.rmtree(place)
            return
        exclude = place / "info" / "exclude"
        exclude.parent.mkdir(exist_ok=True)
        exclude.write_text(_EXCLUDED, encoding="utf-8")

    def commit(self, message: str, user: str, paths: Sequence[str] = (".",)) -> str | None:
        """Commits the changes below ``paths`` in the name of ``user``.

        :return: the id of the commit, None when nothing changed.
        """
        # A path that is gone and was never committed matches nothing: that is not an error.
        self.run("add", "--all", "--", *paths, check=False)
        unchanged = not self.run("diff", "--cached", "--name-only", "--", *paths, check=False).strip()
        first = self.head() is None
        if unchanged and not first:
            return None
        identity = f"{user} <{user}@sandbox.invalid>"
        options = ("--quiet", "--no-verify", f"--author={identity}", "-m", message or "Changes")
        self.run("commit", *options, *(("--allow-empty",) if first else ("--only", "--", *paths)))
        return self.head()

    def head(self) -> str | None:
        """The id of the current commit, None when there is none or no repository."""
        if not (self.dir / ".git").is_dir():
            return None
        return self.run("rev-parse", "--verify", "--quiet", "HEAD", check=False).strip() or None

    def resolve(self, reference: str) -> str:
        """The commit that ``reference`` names.

        :raises DssError: 404, there is none.
        """
        found = ""
        if not reference.startswith("-"):
            found = self.run("rev-parse", "--verify", "--quiet", f"{reference}^{{commit}}", check=False).strip()
        if not found:
            raise not_found(f"Git: {reference!r} names no commit of this project")
        return found

    # ---- what the API shows

    def current_branch(self) -> str:
        """The branch that is checked out."""
        return self.run("symbolic-ref", "--short", "HEAD", check=False).strip() or BRANCH

    def branches(self, remote: bool = False) -> list[str]:
        """The local branches, and with ``remote`` those of the remotes as they were last fetched."""
        places = ("refs/heads", *(("refs/remotes",) if remote else ()))
        return self.run("for-each-ref", "--format=%(refname:short)", *places).split()

    def clean(self) -> bool:
        """Whether everything is committed."""
        return not self.run("status", "--porcelain").strip()

    def _tracking(self) -> dict[str, int]:
        """How many commits the branch is ahead of and behind what it tracks; 0 when it tracks nothing."""
        counts = self.run("rev-list", "--left-right", "--count", "HEAD...@{upstream}", check=False).split()
        ahead, behind = counts if len(counts) == 2 else ("0", "0")
        return {"ahead": int(ahead), "behind": int(behind)}

    def status(self) -> dict[str, Any]:
        """The state of the work tree, as the client documents it."""
        staged: dict[str, list[str]] = {"added": [], "changed": [], "removed": []}
        unstaged: dict[str, list[str]] = {"modified": [], "missing": [], "untracked": [], "conflicting": []}
        for entry in self.run("status", "--porcelain", "-z", "--no-renames").split("\0"):
            if not entry:
                continue
            index, tree, path = entry[0], entry[1], entry[3:]
            if index == "?":
                unstaged["untracked"].append(path)
            elif "U" in (index, tree):
                unstaged["conflicting"].append(path)
            else:
                _append(staged, {"A": "added", "M": "changed", "D": "removed"}.get(index), path)
                _append(unstaged, {"M": "modified", "D": "missing"}.get(tree), path)
        clean = not any((*staged.values(), *unstaged.values()))
        return {
            "currentBranch": self.current_branch(),
            "remotes": self.run("remote").split(),
            "trackingCount": self._tracking(),
            "clean": clean,
            "hasUncommittedChanges": not clean,
            **staged,
            **unstaged,
            "untrackedFolders": [],
        }

    def log(self, path: str | None, start: str | None, count: int) -> dict[str, Any]:
        """``count`` commits from ``start`` on, newest first, and ``nextCommit`` when there are more."""
        if self.head() is None:
            return {"entries": []}
        first = self.resolve(start or "HEAD")
        limit = max(1, min(count, 10000))
        arguments = ["log", f"--format={_LOG_FORMAT}", f"--max-count={limit + 1}", first]
        if path:
            arguments += ["--", f":(literal){path.lstrip('/')}"]
        tags: dict[str, list[str]] = {}
        for tag in self.tags():
            tags.setdefault(tag["commit"], []).append(tag["shortName"])
        entries = [_entry(record, tags) for record in self.run(*arguments).split(_RECORD) if record.strip()]
        answer: dict[str, Any] = {"entries": entries[:limit]}
        if len(entries) > limit:
            answer["nextCommit"] = entries[limit]["commitId"]
        return answer

    def tags(self) -> list[dict[str, Any]]:
        """The tags with their commits."""
        form = _SEPARATOR.join(
            ("%(refname)", "%(refname:short)", "%(objectname)", "%(*objectname)", "%(contents:subject)")
        )
        tags = []
        for line in self.run("for-each-ref", f"--format={form}", "refs/tags").splitlines():
            name, short, identity, peeled, subject = line.split(_SEPARATOR)
            annotations = [{"message": subject}] if peeled and subject else []
            tags.append(
                {
                    "name": name,
                    "shortName": short,
                    "commit": peeled or identity,
                    "annotations": annotations,
                    "readOnly": False,
                }
            )
        return tags

    def create_tag(self, name: str, reference: str, message: str) -> None:
        """Tags a commit.

        :raises DssError: 400, the name is not one or is taken; 404, there is no such commit.
        """
        checked_name(name)
        commit = self.resolve(reference or "HEAD")
        self.run("tag", *(("-a", "-m", message) if message else ()), name, commit)

    def delete_tag(self, name: str) -> None:
        """Deletes a tag."""
        self.run("tag", "--delete", checked_name(name.removeprefix("refs/tags/")))

    def create_branch(self, name: str, commit: str | None) -> None:
        """Creates a branch and switches to it."""
        self.run("checkout", "--quiet", "-b", checked_name(name), self.resolve(commit or "HEAD"))

    def delete_branch(self, name: str, force: bool) -> None:
        """Deletes a local branch."""
        self.run("branch", "-D" if force else "-d", checked_name(name))

    def switch(self, name: str) -> None:
        """Switches to a branch; the project's files change."""
        self.run("checkout", "--quiet", checked_name(name))

    def diff(self, start: str | None, end: str | None) -> dict[str, Any]:
        """The changes between two commits, of one commit, or of the work tree."""
        if start and end:
            names = (self.resolve(start), self.resolve(end))
        elif start:
            commit = self.resolve(start)
            parents = self.run("rev-list", "--parents", "--max-count=1", commit).split()
            names = (parents[1] if len(parents) > 1 else _EMPTY_TREE, commit)
        else:
            names = ("HEAD",)  # type: ignore[assignment]
        counts = [line.split("\t") for line in self.run("diff", "--numstat", "--no-renames", *names).splitlines()]
        patch = self.run("diff", "--no-color", "--no-renames", *names)
        return {
            "commitFrom": {"commitId": names[0]},
            "commitTo": {"commitId": names[-1]},
            "addedLines": sum(int(count[0]) for count in counts if count[0].isdigit()),
            "removedLines": sum(int(count[1]) for count in counts if count[1].isdigit()),
            "changedFiles": len(counts),
            "entries": _diff_entries(patch),
        }

    def revert(self, commit: str) -> dict[str, Any]:
        """Reverts one commit by a new one."""
        self.run("revert", "--no-edit", self.resolve(commit))
        return {"success": True, "logs": ""}

    def restore(self, commit: str, user: str) -> dict[str, Any]:
        """Makes the files those of a commit, by a new commit."""
        wanted = self.resolve(commit)
        self.run("rm", "-r", "--quiet", "--ignore-unmatch", "--", ".")
        self.run("checkout", wanted, "--", ".")
        self.commit(f"Reverted to {wanted}", user)
        return {"success": True, "logs": ""}

    def reset_to_head(self) -> None:
        """Drops what was not committed."""
        self.run("reset", "--hard", "--quiet")
        self.run("clean", "-d", "--force", "--quiet")


_SETTINGS = (
    "-c",
    "core.hooksPath=/dev/null",
    "-c",
    "gc.auto=0",
    "-c",
    "maintenance.auto=false",
    "-c",
    "commit.gpgSign=false",
    "-c",
    "tag.gpgSign=false",
    "-c",
    "core.fsync=none",
    "-c",
    "core.quotePath=false",
)
_EMPTY_TREE = "4b825dc642cb6eb9a060e54bf8d69288fbee4904"


def _environment() -> dict[str, str]:
    # Nothing of the user's own Git settings, and no repository around the sandbox's folder.
    return {
        "PATH": os.environ.get("PATH", os.defpath),
        "LC_ALL": "C.UTF-8",
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_CONFIG_GLOBAL": os.devnull,
        "GIT_TERMINAL_PROMPT": "0",
        # Nothing is reached that is not on this machine, and no helper is started for a URL.
        "GIT_ALLOW_PROTOCOL": "file",
        "GIT_EDITOR": "true",
        # Reading does not write the index, so that it cannot get in the way of a commit.
        "GIT_OPTIONAL_LOCKS": "0",
        "GIT_COMMITTER_NAME": "sandbox",
        "GIT_COMMITTER_EMAIL": "sandbox@sandbox.invalid",
    }


def checked_name(name: str) -> str:
    """``name`` when a tag or branch can be called so. Raises 400."""
    if not name or name.startswith("-") or any(part in name for part in ("..", " ", "~", "^", ":", "\\", "\n")):
        raise bad_request(f"Git: {name!r} is not the name of a tag or branch")
    return name


def _append(lists: dict[str, list[str]], name: str | None, path: str) -> None:
    if name is not None:
        lists[name].append(path)


def _entry(record: str, tags: dict[str, list[str]]) -> dict[str, Any]:
    commit, parents, author, email, seconds, message = record.strip("\n").split(_SEPARATOR, 5)
    return {
        "commit": commit,
        "commitId": commit,
        "parents": parents.split(),
        "author": author,
        "authorEmail": email,
        "timestamp": iso_time(int(seconds) * 1000),
        "message": message.strip(),
        "tags": tags.get(commit, []),
    }


def _diff_entries(patch: str) -> list[dict[str, Any]]:
    entries = []
    for part in patch.split("diff --git ")[1:]:
        first, _, rest = part.partition("\n")
        path = first.partition(" b/")[2]
        kind = (
            "ADD"
            if "\nnew file mode" in "\n" + rest
            else "DELETE"
            if "\ndeleted file mode" in "\n" + rest
            else "MODIFY"
        )
        entries.append({"oldPath": path, "newPath": path, "changeType": kind, "diff": "diff --git " + part})
    return entries
