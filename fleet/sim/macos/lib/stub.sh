#!/bin/sh
# What /usr/bin/python3, git, clang and make are on a Mac without the Command Line Tools (FACTS section 2.7).
cat >&2 <<'TEXT'
xcode-select: note: No developer tools were found, requesting install.
If developer tools are located at a non-default location on disk, use `sudo xcode-select --switch path/to/Xcode.app` to specify the Xcode that you wish to use for command line developer tools, and cancel the installation dialog.
See `man xcode-select` for more details.
TEXT
exit 1
