#!/bin/sh
# A command that Linux has and a Mac has not (FACTS section 6.3).
echo "sh: ${0##*/}: command not found" >&2
exit 127
