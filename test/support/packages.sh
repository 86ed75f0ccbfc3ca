#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Installs the Debian packages of packages.txt that are missing, saying which and why. Where it may not install, it lists
# them with the command to run, and fails.
set -eu
list=$(dirname "$0")/packages.txt
missing='' table=''
while read -r name reason; do
  case $name in '' | '#'*) continue ;; npm) command -v npm > /dev/null && continue ;; esac
  [ "$(dpkg-query -W -f '${db:Status-Status}' "$name" 2> /dev/null)" = installed ] && continue
  missing="$missing $name" table="$table$(printf '  %-20s %s' "$name" "$reason")
"
done < "$list"
[ -n "$missing" ] || exit 0
printf 'Debian packages that are missing:\n%s' "$table"
if [ "$(id -u)" = 0 ]; then sudo=''
elif sudo -n true 2> /dev/null; then sudo=sudo
else
  echo "MERLON_SETUP_PACKAGES: Cannot install packages without root: run this, then make setup again:"
  echo "  sudo apt-get install --no-install-recommends$missing"
  exit 1
fi
echo 'Installing them.'
export DEBIAN_FRONTEND=noninteractive
# Package lists may be absent, or too old to fetch from.
$sudo apt-get update -qq
# shellcheck disable=SC2086 # a list of words
$sudo apt-get install -qq -y --no-install-recommends $missing > /dev/null
